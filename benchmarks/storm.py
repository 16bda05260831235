"""What benchmarks/chaos.py does to a daemon, its shims and ranks, and to their disk; and how they should name it."""

import random
import re
import signal
import time
from contextlib import suppress
from enum import StrEnum

import psutil

from daemon.states import Job
from daemon.temporaries import living_shim
from handlers.job_dir import StepDir
from tests.acceptance.house import CONFIG, House

AT_ONCE = 5
"""Jobs that are not over, at most."""
PAUSE = (0.05, 1.2)
"""Seconds between two acts."""


class Act(StrEnum):
    """What is done, and how often: see WEIGHTS."""

    DAEMON_KILLED = "daemon killed"
    DAEMON_STOPPED = "daemon stopped and continued"
    DAEMON_RESTARTED = "daemon restarted"
    SHIM_KILLED = "shim killed"
    SHIM_TOLD_TO_END = "shim told to end"
    RANK_KILLED = "rank killed"
    DISK_FULL = "disk full"


WEIGHTS = {
    Act.DAEMON_KILLED: 4,
    Act.DAEMON_STOPPED: 3,
    Act.DAEMON_RESTARTED: 2,
    Act.SHIM_KILLED: 2,
    Act.SHIM_TOLD_TO_END: 1,
    Act.RANK_KILLED: 4,
    Act.DISK_FULL: 2,
}
NAMED = {
    Act.SHIM_KILLED: r"the shim of \w+ died without a word",
    Act.SHIM_TOLD_TO_END: r"told to end by SIGTERM",
    Act.RANK_KILLED: r"was killed by SIGKILL",
    # A rank that cannot write its log cannot write why it ends either.
    Act.DISK_FULL: r"[Ss]pace|ENOSPC|disk|are free|rank \d+ on device \d+ exited",
}
"""How the reason of a job that failed names what was done to it."""


class Storm:
    """Drops files, and does at random what is in WEIGHTS."""

    def __init__(self, house: House, seed: int) -> None:
        self._house, self._root = house, house.root
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.acts = dict.fromkeys(Act, 0)
        self.done_to: dict[int, set[Act]] = {}
        """By job."""
        self.names: list[str] = []
        """Of what was dropped."""
        self.slowest_start = 0.0
        self.faults: list[str] = []

    def rage(self, end: float) -> None:
        """Drop files and do harm until `end`, on the monotonic clock."""
        acts = {
            Act.DAEMON_KILLED: lambda: self.restart(signal.SIGKILL),
            Act.DAEMON_STOPPED: self._stop_and_continue,
            Act.DAEMON_RESTARTED: lambda: self.restart(signal.SIGTERM),
            Act.SHIM_KILLED: lambda: self._strike_shim(Act.SHIM_KILLED, signal.SIGKILL),
            Act.SHIM_TOLD_TO_END: lambda: self._strike_shim(Act.SHIM_TOLD_TO_END, signal.SIGTERM),
            Act.RANK_KILLED: self._strike_rank,
            Act.DISK_FULL: self._fill,
        }
        while time.monotonic() < end:
            self._drop()
            time.sleep(self._random.uniform(*PAUSE))
            act = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            if acts[act]() is not False:  # there was somebody to do it to
                self.acts[act] += 1
            if not self._house.is_up:
                self.faults.append(f"the daemon ended by itself after: {act}")
                self.start()

    def _drop(self) -> None:
        """Drop as many files as there is room for, each with a comment of its own, by a rename."""
        for _ in range(AT_ONCE - self.unfinished()):
            name, first = f"run{len(self.names) + 1}.yaml", self._random.randrange(7)
            text = f"# {name}\n{CONFIG.format(data=self._house.data, devices=f'[{first},{first + 2})')}"
            (self._root / "inbox" / f".{name}").write_text(text)
            (self._root / "inbox" / f".{name}").rename(self._root / "inbox" / name)
            self.names.append(name)

    def unfinished(self) -> int:
        """Return how many files are on their way: in the inbox, in claims/, or as jobs that are not over."""
        # In this order: what goes on meanwhile is counted twice rather than not at all.
        files = [path for place in ("inbox", "claims") for path in (self._root / place).iterdir()]
        return len(files) + sum(not job.state.is_over for job in self._house.jobs())

    def start(self) -> None:
        """Start the daemon, and take the time."""
        began = time.monotonic()
        self._house.start()
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)

    def restart(self, number: signal.Signals) -> None:
        """End the daemon with a signal, and start it."""
        self._house.stop(number)
        self.start()

    def _stop_and_continue(self) -> None:
        self._house.send(signal.SIGSTOP)
        time.sleep(self._random.uniform(0.1, 2.0))
        self._house.send(signal.SIGCONT)

    def _strike_shim(self, act: Act, number: signal.Signals) -> bool:
        shims = sorted(self._shims().items())
        if not shims:
            return False
        pid, job = self._random.choice(shims)
        self._note(act, job)
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).send_signal(number)
        return True

    def _strike_rank(self) -> bool:
        ranks = [(child, job) for pid, job in sorted(self._shims().items()) for child in children(pid)]
        if not ranks:
            return False
        rank, job = self._random.choice(ranks)
        self._note(Act.RANK_KILLED, job)
        with suppress(psutil.NoSuchProcess):
            rank.kill()  # psutil knows a recycled pid by its start time
        return True

    def _fill(self) -> None:
        """Fill the disk, strike once more while it is full, and free it again."""
        for job in self._house.jobs():
            if not job.state.is_over:
                self._note(Act.DISK_FULL, job.id)
        ballast = self._root / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as stream:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        stream.write(bytes(size))
        time.sleep(self._random.uniform(0.1, 1.0))
        self._random.choice((self._strike_rank, lambda: self._house.stop(signal.SIGKILL), lambda: None))()
        time.sleep(self._random.uniform(0.1, 1.0))
        ballast.unlink()
        if self._house.daemon is None:
            self.start()

    def _note(self, act: Act, job: int) -> None:
        self.done_to.setdefault(job, set()).add(act)

    def _shims(self) -> dict[int, int]:
        """Return the living shims: pid → job."""
        steps = self._root.glob("jobs/*/attempts/*/*/")
        found = {living_shim(StepDir(step)): int(step.parts[-4].partition("-")[0]) for step in steps}
        return {pid: job for pid, job in found.items() if pid is not None}


def wrong_reason(job: Job, acts: set[Act]) -> list[str]:
    """Return what is wrong with the reason of a job that ended without its result: that it names nothing of `acts`."""
    if any(re.search(NAMED[act], job.reason) for act in acts if act in NAMED):
        return []
    return [
        f"{job.label} is {job.state}, and this was done to it: {', '.join(sorted(acts)) or 'nothing'}; {job.reason}"
    ]


def children(pid: int) -> list[psutil.Process]:
    """Return the processes that a shim has started."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children()
    return []
