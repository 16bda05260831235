"""What metrics cost: a scrape of the page, and `glmd metrics` beside `glmd --help`.

    python benchmarks/metrics.py [--jobs 10000] [--requests 100] [--rounds 9] [--json FILE]

A root of that many finished jobs and one that trains on eight ranks, of which the log grows between two scrapes.
"""

import argparse
import json
import tempfile
from pathlib import Path

from face import RANKS, Page, Training, begun
from measuring import Contender, Report, in_turn, median
from scale import GLMD, fill

from daemon.core.states import State

SCRAPE, ABOVE_HELP, MEMORY = 50.0, 0.2, 64.0
"""Milliseconds, seconds, MiB: the targets."""


def scrapes(page: Page, training: Training, requests: int, report: Report) -> None:
    """Report how long scrapes take; the first one counts all that has happened."""
    before = page.memory
    content, first = page.get("/metrics")
    report.figure("a scrape, the first one, ms", first)
    report.figure("samples", sum(not line.startswith(b"#") for line in content.splitlines()))
    report.figure("KB", len(content) / 1000)
    took = []
    for _ in range(requests):
        training.go_on()
        took.append(page.get("/metrics")[1])
    p95 = sorted(took)[int(0.95 * len(took))]
    report.figure("a scrape, ms, p95", p95, f"<= {SCRAPE}", met=p95 <= SCRAPE)
    report.figure("resident before them, MiB", before)
    report.figure("resident after them, MiB", page.memory, f"<= {MEMORY}", met=page.memory <= MEMORY)


def commands(root: Path, rounds: int, report: Report) -> None:
    """Report what the command takes."""
    words = {"glmd --help": ["--help"], "glmd metrics": ["metrics", "--root", str(root)]}
    contenders = {name: Contender(lambda: None, [*GLMD, *more]) for name, more in words.items()}
    found = {name: median(each) for name, each in in_turn(contenders, rounds).items()}
    for name, measured in found.items():
        report.cost(name, measured)
    above = found["glmd metrics"].seconds - found["glmd --help"].seconds
    report.figure("glmd metrics above glmd --help, s", above, f"<= {ABOVE_HELP}", met=above <= ABOVE_HELP)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    asked = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="glmd-benchmark-") as name:
        root = Path(name, "root")
        fill(root, asked.jobs, 0)
        training = Training(begun(root, "trains", tuple(range(RANKS)), State.PREPARING, State.TRAINING), root)
        training.go_on(1000)
        page = Page(root)
        try:
            report.part(f"GET /metrics over {asked.jobs} jobs")
            scrapes(page, training, asked.requests, report)
        finally:
            page.close()
        report.part(f"glmd metrics over {asked.jobs} jobs")
        commands(root, asked.rounds, report)
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
