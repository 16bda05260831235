"""Ten thousand YAMLs at once: whether the daemon takes each of them once, and how soon it answers meanwhile.

    python benchmarks/load.py [--files 10000] [--writers 10] [--json]

A real `glmd serve` over a root of its own, where one training holds the devices that all dropped files ask for, so
that whatever is accepted waits. Ten processes drop at once: most files are good, some are not; some are replaced by a
rename after a while, some removed. Meanwhile the daemon is asked for a `ping` over its socket, again and again. At the
end every file is accounted for, each answer came within a second, and the daemon's memory has stayed bounded; or the
exit code is 1.
"""

import argparse
import contextlib
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import psutil

from daemon.core.control import NotRunningError, ask
from daemon.core.names import REASON, digest_of, job_name
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.audit import check_state
from tests.acceptance.house import CONFIG, House

SEED = 20261124
PING_EVERY = 0.02
"""Seconds between an answer and the next question."""
ANSWER_MS = 1000.0
"""What the daemon may take to answer at any moment."""
GROWTH_MIB = 40.0
"""Of the daemon's memory; ten thousand files took 21."""
HURRY = 3600.0
"""Seconds until a daemon that takes nothing more is given up."""


class Fate(StrEnum):
    """What a writer does with a file."""

    GOOD = "good"
    BAD = "bad"
    REPLACED = "replaced"
    """By another good file, renamed over it, wherever the daemon is with the first one."""
    REMOVED = "removed"
    """If the daemon has not taken it yet."""


FATES = random.Random(SEED).choices(list(Fate), weights=(7, 1, 1, 1), k=997)  # noqa: S311 - repeatable, not secret
"""One a file, again and again; a prime, so that every writer has all of them."""


@dataclass(frozen=True)
class Dropped:
    """One file of one writer."""

    name: str
    fate: Fate
    digests: tuple[str, ...]
    """Of its contents, the later one last."""
    is_gone: bool
    """Whether the writer could remove it."""


@dataclass
class Figures:
    """What was measured."""

    files: int
    writers: int
    dropped_in_s: float = 0.0
    taken_in_s: float = 0.0
    """From the first drop to the last file's being a job or rejected."""
    jobs: int = 0
    rejected: int = 0
    removed: int = 0
    """By their writers, before they were taken."""
    ping_p50_ms: float = 0.0
    ping_p99_ms: float = 0.0
    ping_max_ms: float = 0.0
    pings: int = 0
    rss_before_mib: float = 0.0
    rss_peak_mib: float = 0.0
    rss_after_mib: float = 0.0
    daemon_cpu_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    """What was not as it should be; empty is a pass."""


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--writers", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), asked.files, asked.writers)
    if asked.json:
        print(json.dumps(asdict(figures)))
    else:
        for name, value in asdict(figures).items():
            print(f"{name:<18}{f'{value:.1f}' if isinstance(value, float) else str(value):>12}")
    sys.exit(1 if figures.faults else 0)


def measure(directory: Path, files: int, writers: int) -> Figures:
    """Flood a daemon over `directory`, and say how it went."""
    house, figures = House(directory), Figures(files, writers)
    house.environment(STANDIN_GATE=str(house.gate))
    with get_context("fork").Pool(writers) as crew:  # before there are threads, and ready when the flood begins
        try:
            house.start().drop("holder.yaml")
            house.until(State.TRAINING)
            with Watcher(house.root, house.pid) as watcher:
                began = time.monotonic()
                shares = [(house.root, number, files // writers) for number in range(writers)]
                dropped = [one for share in crew.starmap(write, shares, 1) for one in share]
                figures.dropped_in_s = time.monotonic() - began
                until_taken(house)
                figures.taken_in_s = time.monotonic() - began
            watcher.report(figures)
            account(dropped, house.root, figures)
            figures.faults += [str(each) for each in check_state(Root(house.root))]
        finally:
            house.close()
    return figures


def write(root: Path, number: int, count: int) -> list[Dropped]:
    """Be writer `number`: drop `count` files as `cp` does, spoil some of them later; return what was done."""
    inbox, good = root / "inbox", CONFIG.format(data=root.parent / "data", devices="[0,2)")
    dropped, spoilt = [], []
    for each in range(count):
        name, fate = f"w{number}-{each:04d}.yaml", FATES[each % len(FATES)]
        content = f"# {name}\n{good}" if fate is not Fate.BAD else f"# {name}\nrun_mode: [finetune\n"
        (inbox / name).write_text(content)
        one = Dropped(name, fate, (digest_of(content.encode()),), is_gone=False)
        (spoilt if fate in {Fate.REPLACED, Fate.REMOVED} else dropped).append(one)
    while (inbox / spoilt[0].name).exists() and (inbox / dropped[0].name).exists():
        time.sleep(0.01)  # the daemon has not begun: nothing could be replaced or removed from under its hands
    dropped += [replace(inbox, one, good) if one.fate is Fate.REPLACED else remove(inbox, one) for one in spoilt]
    return dropped


def replace(inbox: Path, one: Dropped, good: str) -> Dropped:
    """Rename another good file over one, or to its name if it was taken."""
    content = f"# {one.name}, the second\n{good}"
    (inbox / f".{one.name}").write_text(content)
    (inbox / f".{one.name}").rename(inbox / one.name)
    return Dropped(one.name, one.fate, (*one.digests, digest_of(content.encode())), is_gone=False)


def remove(inbox: Path, one: Dropped) -> Dropped:
    """Remove a file, unless the daemon was quicker."""
    is_gone = False
    with contextlib.suppress(FileNotFoundError):
        (inbox / one.name).unlink()
        is_gone = True
    return Dropped(one.name, one.fate, one.digests, is_gone)


def until_taken(house: House) -> None:
    """Wait until nothing is left in the inbox and in claims/."""
    deadline = time.monotonic() + HURRY
    while any(any((house.root / place).iterdir()) for place in ("inbox", "claims")):
        if time.monotonic() > deadline or not house.is_up:
            sys.exit(f"the daemon is {'slow' if house.is_up else 'gone'}:\n{house.log.read_text()[-4000:]}")
        time.sleep(0.05)


class Watcher:
    """Asks the daemon for a ping as soon as the last was answered, and looks at its memory."""

    def __init__(self, root: Path, pid: int) -> None:
        self._root = root
        self._daemon = psutil.Process(pid)
        self._thread = threading.Thread(target=self._watch)
        self._stop = threading.Event()
        self._pings: list[float] = []
        self._unanswered: list[str] = []
        self._rss = [self._daemon.memory_info().rss]
        self._cpu = sum(self._daemon.cpu_times()[:2])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(PING_EVERY):
            began = time.monotonic()
            try:
                ask(self._root, "ping")
            except NotRunningError as error:
                self._unanswered.append(str(error))
                continue
            self._pings.append(time.monotonic() - began)
            self._rss.append(self._daemon.memory_info().rss)

    def report(self, figures: Figures) -> None:
        """Fill in what was seen."""
        ordered = [1000 * seconds for seconds in sorted(self._pings)]
        figures.pings, figures.ping_max_ms = len(ordered), ordered[-1]
        figures.ping_p50_ms = statistics.median(ordered)
        figures.ping_p99_ms = ordered[len(ordered) * 99 // 100]
        figures.rss_before_mib, figures.rss_after_mib = self._rss[0] / 2**20, self._rss[-1] / 2**20
        figures.rss_peak_mib = max(self._rss) / 2**20
        figures.daemon_cpu_s = sum(self._daemon.cpu_times()[:2]) - self._cpu
        figures.faults += self._unanswered
        if figures.ping_max_ms > ANSWER_MS:
            figures.faults.append(f"an answer took {figures.ping_max_ms:.0f} ms")
        if figures.rss_peak_mib > figures.rss_before_mib + GROWTH_MIB:
            figures.faults.append(f"the daemon's memory grew to {figures.rss_peak_mib:.0f} MiB")


def account(dropped: list[Dropped], root: Path, figures: Figures) -> None:
    """Hold what was dropped against the store and rejected/."""
    with contextlib.closing(sqlite3.connect(root / "glmd.db")) as connection:
        rows = connection.execute("SELECT name, state, digest, reason FROM jobs WHERE name != 'holder'").fetchall()
    jobs = Counter(digest for _, state, digest, _ in rows if state == State.QUEUED)
    rejected = Counter(name for name, state, _, reason in rows if state == State.REJECTED and reason)
    figures.jobs, figures.rejected = sum(jobs.values()), sum(rejected.values())
    figures.removed = sum(one.is_gone for one in dropped)
    figures.faults += [fault for one in dropped for fault in wrong_with(one, jobs, rejected, root / "rejected")]
    expected = figures.jobs + figures.rejected
    if len(rows) != expected:
        figures.faults.append(f"{len(rows)} rows, of which {expected} are queued, or rejected with a reason")


def wrong_with(one: Dropped, jobs: Counter[str], rejected: Counter[str], place: Path) -> Iterator[str]:
    """Yield what became of a file and should not have."""
    counts = [jobs[digest] for digest in one.digests]
    match one.fate:
        case Fate.BAD:
            there = (place / one.name).exists() and (place / f"{one.name}{REASON}").exists()
            right = counts == [0] and rejected[job_name(one.name)] == 1 and there
        case Fate.REPLACED:  # the first content may have been taken before it was replaced
            right = counts in ([0, 1], [1, 1])
        case Fate.REMOVED:
            right = counts == [0 if one.is_gone else 1]
        case Fate.GOOD:
            right = counts == [1]
    if not right or (one.fate is not Fate.BAD and rejected[job_name(one.name)]):
        yield f"{one.name} ({one.fate}, gone: {one.is_gone}): jobs {counts}, rejected {rejected[job_name(one.name)]}"


if __name__ == "__main__":
    main()
