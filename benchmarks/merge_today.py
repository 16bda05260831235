"""Parts of benchmarks/merge.py: merging what today's MindFormers saves, beside MindSpore's own merge and plain copies.

unified: 2.7 GB of safetensors against `unified_safetensors`, for the same tensors and for the weights alone, which
    MindSpore cannot choose; the tensors must be equal. MindSpore does not wait here for memory that others use.
safetensors: 2.5 GB of bfloat16 weights, warm, from shards, from shards without replicas and from a save in the new
    format, against `cp` and `sync` of the output.
glm-4: peak memory over that of the bare interpreter, from 0.5 GB to a full GLM-4-9B (19 GB of weights).
"""

import argparse
import json
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from make_safetensors import Form
from measuring import Contender, Report, in_turn, measure, median, ratio
from merge_beside_cp import beside_cp
from merge_input import SafetensorsInput, describe

SMALL = {"hidden": 1024, "layers": 16, "vocabulary": 10240, "mp": 8}
LARGE = {"hidden": 2560, "layers": 16, "vocabulary": 32000, "mp": 8}
FULL = {"hidden": 4096, "layers": 40, "vocabulary": 151552, "mp": 8}
"""GLM-4-9B."""
FULL_ROOM = 42 << 30
"""Bytes: weights, output, and some for the others on this disk."""
EVERYTHING = "--keep=weights,scalars,optimizer"


def against_unified(report: Report, scratch: Path, options: argparse.Namespace) -> None:
    """Merge by glmd and by MindSpore, in turn."""
    if options.today_python is None:
        report.part("unified: left out without --today-python")
        return
    given = SafetensorsInput(scratch, SMALL, sparse=False)
    weights, theirs = scratch / "weights", scratch / "unified"
    weights.mkdir()
    strategy = given.source / "strategy" / "ckpt_strategy_rank_0.ckpt"
    program = Path(__file__).with_name("unified.py")

    def ready(place: Path) -> Callable[[], object]:
        def prepare() -> None:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            measure(["cat", *given.shards])

        return prepare

    contenders = {
        "glmd merge of everything": Contender(ready(given.merged), given.glmd(EVERYTHING)),
        "glmd merge of the weights": Contender(ready(weights), given.glmd(into=weights)),
        "unified_safetensors": Contender(
            ready(theirs), [options.today_python, program, given.source, strategy, theirs]
        ),
    }
    everything, filtered, mindspore = in_turn(contenders, options.rounds).values()
    report.part(f"unified: {describe(given)}, page cache warm, {options.rounds} rounds")
    for name, rounds in zip(contenders, (everything, filtered, mindspore), strict=True):
        report.cost(name, median(rounds))
    if different := differences([given.output], theirs.glob("*.safetensors")):
        sys.exit(f"{given.output} is not what MindSpore made in {theirs}: {', '.join(different)}")
    report.say("all tensors are the same bytes")
    for name, rounds, least in (("everything", everything, 4.0), ("the weights", filtered, 15.0)):
        speed = ratio(mindspore, rounds)
        report.figure(f"times as fast as MindSpore, {name}", speed, f"{least} or more", met=speed >= least)
    memory = median(mindspore).peak / median(everything).peak
    report.figure("MindSpore's peak memory over glmd's", memory, "100 or more", met=memory >= 100)


def against_copy(report: Report, scratch: Path, options: argparse.Namespace) -> None:
    """Merge each form of a save that is in the page cache, and copy the output."""
    copied = scratch / "copied.safetensors"
    for form, dp in ((Form.SHARDS, 1), (Form.NO_REPLICAS, 2), (Form.ITERATION, 1)):
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            given = SafetensorsInput(Path(directory), {**LARGE, "dp": dp}, form, sparse=True)
            beside_cp(report, f"safetensors, {form}", given, copied, options.rounds)


def memory(report: Report, scratch: Path, _options: argparse.Namespace) -> None:
    """Merge small and large, and see how little the peak grows."""
    bare = measure([sys.executable, "-c", "pass"])
    sizes = [SMALL, LARGE, FULL]
    report.part("glm-4: peak over that of the bare interpreter")
    report.cost("python -c pass", bare)
    if shutil.disk_usage(scratch).free < FULL_ROOM:
        report.say(f"under {FULL_ROOM >> 30} GiB are free: no full GLM-4-9B")
        sizes.remove(FULL)
    growths = []
    for each in sizes:
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            given = SafetensorsInput(Path(directory), each, sparse=True)
            merged = measure(given.glmd())
            growth = (merged.peak - bare.peak) / 2**20
            growths.append(growth)
            report.cost(f"glmd merge: {describe(given)}", merged)
            report.figure("growth, MiB", growth, "64 or less", met=growth <= 64)
    report.figure("largest less smallest growth, MiB", max(growths) - min(growths))


def differences(ours: Iterable[Path], theirs: Iterable[Path]) -> list[str]:
    """Return the names of tensors that are not the same bytes of the same type and shape in both."""
    one, two = _tensors(ours), _tensors(theirs)
    return sorted(
        name for name in one.keys() | two.keys() if name not in one or name not in two or one[name] != two[name]
    )


def _tensors(paths: Iterable[Path]) -> Mapping[str, tuple[str, list[int], memoryview]]:
    found = {}
    for path in paths:
        with path.open("rb") as stream:
            content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        start = 8 + int.from_bytes(content[:8], "little")
        for name, entry in json.loads(bytes(content[8:start])).items():
            if name != "__metadata__":
                begin, end = (start + offset for offset in entry["data_offsets"])
                found[name] = entry["dtype"], entry["shape"], content[begin:end]
    return found


def add_today_python(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where today's MindSpore is."""
    default = os.environ.get("GLMD_TODAY_PYTHON")
    what = "one that has today's MindSpore"
    parser.add_argument("--today-python", type=Path, default=Path(default) if default else None, help=what)


PARTS: dict[str, Callable[[Report, Path, argparse.Namespace], None]] = {
    "unified": against_unified,
    "safetensors": against_copy,
    "glm-4": memory,
}
