"""glmd's merge beside MindSpore's own way and beside plain copies, in one run: wall time and peak memory, with targets.

    python benchmarks/merge.py [--parts seed copy finite cold memory profile unified safetensors glm-4] [--rounds 5]
        [--training-python PYTHON] [--today-python PYTHON] [--directory DIRECTORY] [--json FILE]

seed: 2.7 GB of shards against MindSpore's flow (transform by rank, reload, filter, save), on the disk and, since there
    `cp` of the output alone takes much of the time, in memory (tmpfs) too; outputs must be equal.
copy: 2.6 GB of output, warm, with and without hashing, against `cp` and `sync` of the output.
finite: the merge beside one that does not look for NaN and infinity, of 2.6 GB and of less.
cold: the same with an empty page cache (as root) against reading just the needed bytes plus `cat >out; sync`.
memory: peak memory over that of the bare interpreter, from 0.6 GB to a full GLM-6B (4 GB where the disk is too small).
profile: where the time of `glmd merge` goes: what waits for the disk, what needs the processor, what start-up takes.
unified, safetensors, glm-4: the same of what today's MindFormers saves; merge_today.py says what.

Each is a process of its own, timed from its start to its end, output on the disk included. Commands are run in turn;
ratios are medians over the rounds. Without a training environment, or not as root, what needs it is left out.
"""

import argparse
import contextlib
import filecmp
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import make_shards
import merge_today
from measuring import Contender, Measured, Report, in_turn, measure, median, ratio
from merge_beside_cp import beside_cp
from merge_input import CP, Input, clear, describe

TINY = {"hidden": 512, "layers": 6, "vocabulary": 3200, "mp": 4}
"""44 MB of output."""
SMALL = {"hidden": 1280, "layers": 12, "vocabulary": 12800, "mp": 8}
LARGE = {"hidden": 2048, "layers": 24, "vocabulary": 12800, "mp": 8}
MIDDLE = {"hidden": 2560, "layers": 24, "vocabulary": 12800, "mp": 8}
"""4 GB of output, where there is no room for the full size."""
FULL = {"hidden": 4096, "layers": 28, "vocabulary": 130528, "mp": 8}
"""GLM-6B."""
FULL_ROOM = 34 << 30
"""Bytes: weights, output, and some for the others on this disk."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a tmpfs is what is wanted
CAT = ("sh", "-c", 'cat "$1" > "$2" && sync "$2"', "-")


def against_mindspore(report: Report, scratch: Path, options: argparse.Namespace) -> None:
    """Merge the default input, on the disk and in memory, as the seed does it and as glmd does."""
    given = Input(scratch, SMALL, sparse=False)
    measure(["cat", *given.shards])
    strategy = given.source / "strategy" / "ckpt_strategy_rank_0.ckpt"
    for where in (scratch, Path(tempfile.mkdtemp(dir=MEMORY, prefix="glmd-benchmark-"))):
        with contextlib.ExitStack() as stack:
            if where != scratch:
                stack.callback(shutil.rmtree, where)
            ours, theirs, copied = where / "ours", where / "mindspore.ckpt", where / "copied.ckpt"
            ours.mkdir()
            contenders = {
                "glmd merge": Contender(lambda ours=ours: clear(ours), given.glmd(into=ours)),
                "cp and sync of the output": Contender(
                    lambda ours=ours, copied=copied: (clear(copied), measure(["cat", ours / Input.output_name])),
                    (*CP, ours / Input.output_name, copied),
                ),
            }
            report.part(f"seed: {describe(given)}, {'on the disk' if where == scratch else 'in memory (tmpfs)'}")
            glmd, cp = (median(rounds) for rounds in in_turn(contenders, options.rounds).values())
            report.cost("glmd merge", glmd)
            report.cost("cp and sync of the output", cp)
            if options.training_python is None:
                report.say("no --training-python: MindSpore's flow is left out")
                continue
            flow = [options.training_python, Path(__file__).with_name("seed_flow.py"), given.source, strategy, theirs]
            mindspore = measure(flow)
            report.cost("MindSpore: transform by rank, reload, filter, save", mindspore)
            if not filecmp.cmp(ours / Input.output_name, theirs, shallow=False):
                sys.exit(f"{ours / Input.output_name} is not what MindSpore made: {theirs}")
            report.say("both outputs are the same bytes")
            speed = mindspore.seconds / glmd.seconds
            report.figure("times as fast as MindSpore", speed, "60 or more", met=speed >= 60)
            report.figure("times as fast as MindSpore: cp and sync alone", mindspore.seconds / cp.seconds)
            memory = mindspore.peak / glmd.peak
            report.figure("MindSpore's peak memory over glmd's", memory, "40 or more", met=memory >= 40)


def against_copy(report: Report, scratch: Path, options: argparse.Namespace) -> None:
    """Merge what is in the page cache, and copy the output."""
    given = Input(scratch, LARGE, sparse=True)
    copied = scratch / "copied.ckpt"
    beside_cp(report, "copy", given, copied, options.rounds)


def against_not_looking(report: Report, scratch: Path, options: argparse.Namespace) -> None:
    """Merge what is in the page cache, looking for NaN and infinity and not."""
    for name, sizes, most in (("tiny", TINY, None), ("small", SMALL, None), ("large", LARGE, 1.05)):
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            given = Input(Path(directory), sizes, sparse=True)

            def ready(given: Input = given) -> None:
                given.clear()
                given.warm()

            program = Path(__file__).with_name("uncounted.py")
            contenders = {
                "glmd merge without looking": Contender(ready, [sys.executable, program, *given.merge()]),
                "glmd merge": Contender(ready, given.glmd()),
            }
            blind, looking = in_turn(contenders, options.rounds).values()
            report.part(f"finite, {name}: {describe(given)}, page cache warm, {options.rounds} rounds")
            for title, rounds in zip(contenders, (blind, looking), strict=True):
                report.cost(title, median(rounds))
            wall = ratio(looking, blind)
            target = f"{most} or less" if most is not None else ""
            report.figure("wall time over not looking", wall, target, met=None if most is None else wall <= most)
            more = statistics.median(one.processor - two.processor for one, two in zip(looking, blind, strict=True))
            report.figure("seconds of processor more", more)
            peak = (median(looking).peak - median(blind).peak) / 2**20
            report.figure("MiB of peak memory more", peak)


def from_cold(report: Report, scratch: Path, options: argparse.Namespace) -> None:
    """Merge with an empty page cache, and read the needed bytes and write the output."""
    if os.geteuid() != 0:
        report.part("cold: left out, for only root may empty the page cache")
        return
    given = Input(scratch, LARGE, sparse=True)
    copied = scratch / "copied.ckpt"

    def cold() -> None:
        given.clear()
        drop_caches()

    def ready_to_write() -> None:
        clear(copied)
        measure(["cat", given.output])

    contenders = {
        "reading the needed bytes": Contender(drop_caches, given.read()),
        "glmd merge": Contender(cold, given.glmd()),
        "cat >out and sync": Contender(ready_to_write, (*CAT, given.output, copied)),
    }
    read, glmd, written = in_turn(contenders, options.rounds).values()
    report.part(f"cold: {describe(given)}, page cache empty, {options.rounds} rounds")
    for name, rounds in zip(contenders, (read, glmd, written), strict=True):
        report.cost(name, median(rounds))
    both = [
        Measured(one.seconds + two.seconds, one.processor + two.processor, 0)
        for one, two in zip(read, written, strict=True)
    ]
    found = ratio(glmd, both)
    report.figure("wall time over reading plus writing", found, "1.25 or less", met=found <= 1.25)


def memory(report: Report, scratch: Path, _options: argparse.Namespace) -> None:
    """Merge small and large, and see how little the peak grows."""
    bare = measure([sys.executable, "-c", "pass"])
    full = shutil.disk_usage(scratch).free >= FULL_ROOM
    report.part("memory: peak over that of the bare interpreter")
    report.cost("python -c pass", bare)
    if not full:
        report.say(f"under {FULL_ROOM >> 30} GiB are free: 4 GB of output instead of a full GLM-6B")
    growths = []
    for number, sizes in enumerate((SMALL, LARGE, FULL if full else MIDDLE)):
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            given = Input(Path(directory), sizes, sparse=True)
            merged = measure(given.glmd())
            growths.append((merged.peak - bare.peak) / 2**20)
            report.cost(f"glmd merge: {describe(given)}", merged)
            report.figure("growth, MiB", growths[number], "64 or less", met=growths[number] <= 64)
    spread = max(growths) - min(growths)
    report.figure("largest less smallest growth, MiB", spread)  # "flat" is the target, and no number was set for it


def profile(report: Report, scratch: Path, options: argparse.Namespace) -> None:
    """Show what the merge's time goes to; threads overlap, so that the parts add up to more than the whole."""
    given = Input(scratch, SMALL, sparse=True)
    with tempfile.TemporaryDirectory(dir=MEMORY) as in_memory:
        for name, into in (("disk", given.merged), ("memory (tmpfs)", Path(in_memory))):
            spent: dict[str, list[Measured]] = {}
            for _ in range(options.rounds):
                clear(into)
                given.warm()
                os.sync()
                figures = scratch / "profile.json"
                program = Path(__file__).with_name("profiled.py")
                whole = measure([sys.executable, program, figures, *given.merge(into=into)])
                spent.setdefault("glmd merge, start to end", []).append(whole)
                for part, (wall, processor) in json.loads(figures.read_text()).items():
                    spent.setdefault(f"  of it: {part}", []).append(Measured(wall, processor, 0))
            report.part(f"profile: {describe(given)}, on {name}; parts are summed over threads")
            report.cost("python -c pass", measure([sys.executable, "-c", "pass"]))
            report.cost("glmd merge --help", measure([sys.executable, "-m", "daemon.cli", "merge", "--help"]))
            for part, rounds in spent.items():
                report.cost(part, median(rounds))


def drop_caches() -> None:
    """Empty the page cache, as root."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


PARTS: dict[str, Callable[[Report, Path, argparse.Namespace], None]] = {
    "seed": against_mindspore,
    "copy": against_copy,
    "finite": against_not_looking,
    "cold": from_cold,
    "memory": memory,
    "profile": profile,
    **merge_today.PARTS,
}


def main() -> None:
    """Run the parts, each in a new directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    make_shards.add_training_python(parser)
    merge_today.add_today_python(parser)
    parser.add_argument("--directory", type=Path, help="where to work, on the disk to be measured; 10 to 30 GB")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    report = Report()
    for part in options.parts:
        with tempfile.TemporaryDirectory(dir=options.directory, prefix="glmd-benchmark-") as scratch:
            PARTS[part](report, Path(scratch), options)
    if options.json is not None:
        options.json.write_text(json.dumps({"rounds": options.rounds, "rows": report.rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
