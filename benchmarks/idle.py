"""What the daemon costs while nothing happens, and how soon it takes what is dropped.

    python benchmarks/idle.py [--seconds 60] [--drops 20] [--jobs 1000]

A real `glmd serve` over a root of its own; the dropped files are rejected ones, so that nothing else is started. The
figures: processor time and resident memory of the idle daemon; from the drop to the claim, beyond the settle time; the
wall time of `glmd status` with many jobs in the store, beside that of an interpreter that does nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from daemon.core.states import State
from daemon.core.store import NewJob, Store

SETTLE = 1.0
GLMD = [sys.executable, "-m", "daemon.cli"]


def main() -> None:
    """Measure and print a table, and the same as JSON in the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch the idle daemon")
    parser.add_argument("--drops", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1000, help="in the store, for `glmd status`")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        with Store.open(root / "glmd.db") as store:
            for number in range(asked.jobs):
                store.add(NewJob(f"c{number}", "run", devices=(0,)), State.REJECTED, "an example")
        with (root / "daemon.log").open("wb") as log:
            daemon = subprocess.Popen([*GLMD, "serve", "--allow-root", "--root", directory], stderr=log)
            try:
                figures = measure(root, psutil.Process(daemon.pid), asked)
            finally:
                daemon.terminate()
                daemon.wait()
    for name, value in figures.items():
        print(f"{name:<42}{value:>10.3f}")
    print(json.dumps(figures))


def measure(root: Path, daemon: psutil.Process, asked: argparse.Namespace) -> dict[str, float]:
    """Return the figures by name."""
    until((root / "glmd.sock").exists)
    before = sum(daemon.cpu_times()[:2])
    time.sleep(asked.seconds)
    idle = sum(daemon.cpu_times()[:2]) - before
    latencies = [claimed_after(root, number) - SETTLE for number in range(asked.drops)]
    status = [*GLMD, "status", "--root", str(root)]
    return {
        "idle CPU, ms a minute": 1000 * idle * 60 / asked.seconds,
        "idle resident memory, MiB": daemon.memory_info().rss / 2**20,
        "drop to claim beyond settle, s: median": statistics.median(latencies),
        "drop to claim beyond settle, s: worst": max(latencies),
        f"glmd status, {asked.jobs} jobs, s: median": wall(status),
        "glmd --help, s: median": wall([*GLMD, "--help"]),
        "python -c pass, s: median": wall([sys.executable, "-c", "pass"]),
    }


def claimed_after(root: Path, number: int) -> float:
    """Drop a file; return after how many seconds it is gone from the inbox."""
    path = root / "inbox" / f"drop{number}.yaml"
    path.write_text(f"not: a training {number}\n")
    began = time.monotonic()
    until(lambda: not path.exists())
    return time.monotonic() - began


def wall(argv: list[str], runs: int = 5) -> float:
    """Return the median wall time of a command, after one run that does not count."""
    times = []
    for _ in range(runs + 1):
        began = time.monotonic()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        times.append(time.monotonic() - began)
    return statistics.median(times[1:])


def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("the daemon did not do what it was waited for")
        time.sleep(0.002)


if __name__ == "__main__":
    main()
