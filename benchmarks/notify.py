"""What notifications cost: the idle process, how soon a failure is told, and what the daemon notices of a dead server.

    python benchmarks/notify.py [--seconds 60] [--failures 20] [--rounds 3] [--json FILE]

A real `glmd notify serve` over a root of its own, with a webhook on loopback. The daemon's longest turn is measured
while jobs come and go, in turn without a notifier and with one that hangs on a server which never answers.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
from measuring import Report
from scale import answers, until
from turns import within

from daemon.core.states import State
from daemon.core.store import NewJob, Store
from handlers.codes import Code
from tests.acceptance.house import House
from tests.listening import hangs, listening, says
from tests.teller import Teller

MEMORY, CPU, SOON = 35.0, 0.1, 5.0
"""MiB, percent of a core, seconds: the targets."""
DROPS = 100


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch the idle process")
    parser.add_argument("--failures", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    asked = parser.parse_args()
    report = Report()
    report.part("glmd notify serve, without Apprise")
    in_a_place(lambda place: idle_and_soon(place, report, asked.seconds, asked.failures))
    report.part(f"{DROPS} jobs come and go")
    without, hung = list[float](), list[float]()
    for _ in range(asked.rounds):
        in_a_place(lambda place: without.append(longest_turn(place, with_notifier=False)))
        in_a_place(lambda place: hung.append(longest_turn(place, with_notifier=True)))
    report.figure("the daemon's longest turn without it, ms: median", statistics.median(without))
    report.figure("with it, hung on a dead server, ms: median", statistics.median(hung))
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.rows, indent=2) + "\n")


def in_a_place(work: Callable[[Path], object]) -> None:
    """Do `work` in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="glmd-benchmark-") as name:
        work(Path(name))


def idle_and_soon(place: Path, report: Report, seconds: float, failures: int) -> None:
    """Measure the idle process, and the time from a failure to the message that tells it."""
    root = place / "root"
    root.mkdir()
    with Store.open(root / "glmd.db") as store, listening(says("204 No Content")) as server:
        teller = Teller(place, root)
        teller.destination("hook", f"http://127.0.0.1:{server.port}/")
        with closing(teller.start()):
            process = psutil.Process(teller.pid)
            before = sum(process.cpu_times()[:2])
            time.sleep(seconds)
            share = 100 * (sum(process.cpu_times()[:2]) - before) / seconds
            times = [told_after(store, number, lambda: len(server.requests)) for number in range(failures)]
            memory = process.memory_info().rss / 2**20
    report.figure("idle, percent of a core", share, f"<= {CPU:g}", met=share <= CPU)
    report.figure("resident after that, MiB", memory, f"<= {MEMORY:g}", met=memory <= MEMORY)
    report.figure("failure to message, s: median", statistics.median(times))
    report.figure("failure to message, s: worst", max(times), f"<= {SOON:g}", met=max(times) <= SOON)


def told_after(store: Store, number: int, count: Callable[[], int]) -> float:
    """Let a training fail; return after how many seconds that was told."""
    before, job = count(), store.add(NewJob(f"c{number}", "run", devices=(0,)))
    for state in (State.PREPARING, State.TRAINING):
        job = store.move(job, state)
    began = time.monotonic()
    store.move(job, State.FAILED, "rank 3 on device 3 exited 1 first: no memory", Code.RANK_DEVICE_MEMORY)
    until(lambda: count() > before, "the message")
    return time.monotonic() - began


def longest_turn(place: Path, *, with_notifier: bool) -> float:
    """Return the milliseconds of the daemon's longest turn while files are dropped that it rejects."""
    house = House(place)
    (house.root / "glmd.yaml").write_text(json.dumps(house.settings))
    teller = Teller(place, house.root)
    with listening(hangs) as server, house.log.open("ab") as log, closing(teller):
        teller.destination("dead", f"http://127.0.0.1:{server.port}/", events=["*"])
        daemon = subprocess.Popen([sys.executable, Path(__file__).with_name("turns.py"), place], stdout=log, stderr=log)
        try:
            until(lambda: answers(house.root), "the daemon")
            if with_notifier:
                teller.start()
            began = time.monotonic()
            for number in range(DROPS):
                house.drop(f"drop{number}.yaml", text=f"not: a training {number}\n")
                time.sleep(0.05)
            until(lambda: len(house.jobs()) == DROPS, "the drops to be taken")
            ended = time.monotonic()
            if with_notifier and not server.requests:
                sys.exit("the notifier has not tried")
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
    return 1000 * max(within(place / "turns.json", began, ended))


if __name__ == "__main__":
    main()
