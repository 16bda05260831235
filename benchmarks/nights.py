"""What `glmd nights` and `glmd night` cost with many runs in the store, beside `glmd --help`.

    python benchmarks/nights.py [--jobs 10000] [--rounds 7] [--json FILE]

A root with the runs of two nightly cycles over many years, or, with --hourly, of the last months: each a job with its
history, its result and its promotion, as a daemon leaves them. The commands run in turn, so that what slows the machine
down for a while slows down all of them; told is the median of the differences.
"""

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from measuring import Contender, Report, in_turn, median

from daemon.core.root import Root
from daemon.core.store import Store
from handlers.run_names import run_name

CYCLES = ("glm-6b", "lora")
WAY = ("queued", "preparing", "training", "merging", "done")
TARGET = 0.2
"""Seconds above `glmd --help`."""
GLMD = [sys.executable, "-m", "daemon.cli"]


def main() -> None:
    """Fill a root, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hourly", action="store_true", help="each cycle once an hour instead of once a day")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        fill(root, asked.jobs, timedelta(hours=1) if asked.hourly else timedelta(days=1))
        words = {"--help": ["--help"], "nights": ["nights"], "night": ["night", "--json"], "status": ["status"]}
        contenders = {
            name: Contender(lambda: None, [*GLMD, "--root", root, *given]) for name, given in words.items()
        }  # fmt: skip
        measured = in_turn(contenders, asked.rounds)
    report.part(f"{asked.jobs} runs of {len(CYCLES)} cycles")
    for name, rounds in measured.items():
        report.cost(f"glmd {name}", median(rounds))
    for name in ("nights", "night"):
        pairs = zip(measured[name], measured["--help"], strict=True)
        above = statistics.median(one.seconds - two.seconds for one, two in pairs)
        met = above <= TARGET if name == "nights" else None
        report.figure(f"glmd {name}, above glmd --help, s", above, f"<= {TARGET}" if met is not None else "", met=met)
    if asked.json:
        asked.json.write_text(json.dumps(report.rows, indent=2))


def fill(root: Path, jobs: int, every: timedelta) -> None:
    """Let a root have had that many runs, all of them done, the newest the last one that was due."""
    Root(root).create()
    Store.open(root / "glmd.db").close()
    newest = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with closing(sqlite3.connect(root / "glmd.db")) as connection, connection:
        for number, (cycle, due) in enumerate(_dues(jobs, newest, every), 1):
            began, ended = (due + timedelta(seconds=5)).isoformat(), (due + timedelta(minutes=50)).isoformat()
            connection.execute(
                "INSERT INTO jobs (claim, source, digest, name, state, reason, attempt, priority, devices, prefix,"
                " submitted, changed, cycle) VALUES (?, 'night', '', ?, 'done', '', 1, 0, '[0,1]', ?, ?, ?, ?)",
                (f"claim{number}", run_name(cycle, due), cycle, began, ended, cycle),
            )
            connection.executemany(
                "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, 1, '')",
                [(number, began, state) for state in WAY],
            )
            connection.execute(
                "INSERT INTO results (job, final_loss, best_loss, seconds, bytes) VALUES (?, ?, ?, ?, ?)",
                (number, 2.0, 1.5, 3000, 13_000_000_000),
            )
            connection.execute(
                "INSERT INTO nightly_runs VALUES (?, ?, ?, 'dropped', ?, '', '')",
                (cycle, due.isoformat(), began, number),
            )
            connection.execute(
                "INSERT INTO promotions (prefix, kind, job, cycle, target, at, by, reason)"
                " VALUES (?, 'promotion', ?, ?, 'merged', ?, '', '')",
                (cycle, number, cycle, ended),
            )
        for cycle in CYCLES:
            connection.execute(
                "INSERT INTO nightly (name, due, cron) VALUES (?, ?, '0 2 * * *')", (cycle, newest.isoformat())
            )  # fmt: skip


def _dues(jobs: int, newest: datetime, every: timedelta) -> Iterator[tuple[str, datetime]]:
    for number in range(jobs):
        back, cycle = divmod(jobs - 1 - number, len(CYCLES))
        yield CYCLES[cycle], newest - back * every


if __name__ == "__main__":
    main()
