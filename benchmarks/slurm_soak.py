"""The soak of benchmarks/chaos.py with a real Slurm between the daemon and the ranks."""

import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.acts import DEFECT
from benchmarks.scene import Scene
from benchmarks.slurm_storm import Act, SlurmStorm, wrong_reason
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.audit import check_state
from handlers.records.job_dir import Step
from tests.slurm.cluster import Cluster
from tests.slurm.house import house_on

CALM = 400.0
"""Seconds in which the next of the jobs must be over: some wait three minutes for Slurm's word."""
NODES = 3
"""One more than each job wants."""
TRACEBACK = re.compile(r"^Traceback .*\n(?:(?: .*)?\n)*.*", re.MULTILINE)


@dataclass
class Figures:
    """What happened."""

    seed: int
    minutes: float
    acts: dict[Act, int] = field(default_factory=dict)
    dropped: int = 0
    done: int = 0
    """Without anybody's help."""
    of_these_resumed: int = 0
    failed: int = 0
    """With a reason that names what was done to it."""
    done_after_retry: int = 0
    attempts: int = 0
    lost: int = 0
    """Dropped files that are no job, and jobs that never come to an end."""
    doubled: int = 0
    """Files that are two jobs, attempts that ran twice, ranks of two attempts of a job beside each other."""
    refused: int = 0
    """Jobs of Slurm's that were refused, because another of the same attempt ran: those ran nothing."""
    slowest_start_s: float = 0.0
    """Of the daemon, until it answered."""
    faults: list[str] = field(default_factory=list)
    """What was not as it should be; empty is a pass."""


class SlurmSoak:
    """One run: the storm, the calm, the reckoning."""

    def __init__(self, directory: Path, minutes: float, seed: int) -> None:
        self._figures = Figures(seed, minutes)
        (directory / "slurm").mkdir()
        self._cluster = Cluster(directory / "slurm", NODES)
        self._house = house_on(directory, self._cluster)
        self._runs = directory / "runs"
        self._house.training["environment"] = {
            "STANDIN_PAUSE": "0.2", "STANDIN_SAVE": "10,20", "STANDIN_RUNS": str(self._runs),
        }  # fmt: skip
        self._house.settings["inbox"] = {"settle": 0.1, "rescan": 2}
        self._scene = Scene(self._house, seed)

    def run(self, keep: Path | None) -> Figures:
        """Return what happened; where that was not as it should be, copy what is left to `keep`."""
        storm = SlurmStorm(self._scene, self._cluster)
        with self._cluster:
            try:
                storm.rage(time.monotonic() + 60 * self._figures.minutes)
                self._calm(storm)
                self._reckon()
            finally:
                self._scene.undo(everything=True)
                self._house.close()
        self._figures.acts, self._figures.slowest_start_s = storm.acts, self._scene.slowest_start
        self._figures.faults += [*self._scene.faults, *(f"left running: {one}" for one in self._left_for_good())]
        if keep is not None and self._figures.faults:
            shutil.copytree(self._house.root, keep, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
            shutil.copy(self._house.log, keep / "daemon.log")
            shutil.copytree(self._cluster.place / "log", keep / "slurm")
        return self._figures

    def _calm(self, storm: SlurmStorm) -> None:
        """Let all jobs come to their ends, ask why those ended that failed, and retry them."""
        self._until_over()
        failed = [job for job in self._house.jobs() if job.state is not State.DONE]
        for job in self._house.jobs():
            if job.state is State.DONE:
                self._figures.done += 1
                self._figures.of_these_resumed += job.attempt > 1
        for job in failed:
            self._figures.failed += 1
            self._figures.faults += wrong_reason(job, storm.done_to.get(job.name, set()))
            retried = self._house.run("retry", str(job.id))
            if retried.returncode != 0:
                self._figures.faults.append(f"{job.label} cannot be retried: {retried.stderr}")
        self._until_over()
        self._figures.done_after_retry = sum(job.state is State.DONE for job in self._house.jobs()) - self._figures.done

    def _until_over(self) -> None:
        """Wait until all is over; nodes that Slurm keeps down are given back to it, as somebody who sees to it does."""
        deadline, before = 0.0, -1
        while (left := self._scene.unfinished()) != 0:
            if left != before:
                deadline, before = time.monotonic() + CALM, left
            if time.monotonic() > deadline:
                late = self._scene.jobs_not_over()
                self._figures.lost += len(late)
                self._figures.faults += [f"{one.label} is still {one.state}: {one.reason}" for one in late]
                return
            self._cluster.give_back()
            time.sleep(0.5)

    # The reckoning

    def _reckon(self) -> None:
        self._scene.restart(signal.SIGTERM)  # a start removes what killed writers left
        jobs, figures = self._house.jobs(), self._figures
        figures.dropped, figures.attempts = len(self._scene.names), sum(job.attempt for job in jobs)
        names = Counter(job.name for job in jobs)
        figures.lost += sum(names[name] == 0 for name in self._scene.names)
        figures.faults += [f"{name} is {names[name]} jobs" for name in self._scene.names if names[name] != 1]
        figures.faults += [
            f"{job.label} is {job.state} after its retry: {job.reason}" for job in jobs if job.state is not State.DONE
        ]
        twice = [*self._begun_twice(), *(path.read_text() for path in self._runs.glob("taken-*"))]
        figures.doubled = sum(names[name] > 1 for name in self._scene.names) + len(twice)
        figures.faults += twice
        figures.faults += [str(each) for each in check_state(Root(self._house.root))]
        log = self._house.log.read_text(errors="replace")
        figures.faults += [line for line in log.splitlines() if DEFECT in line]
        figures.faults += TRACEBACK.findall(log)

    def _begun_twice(self) -> Iterator[str]:
        """Yield the attempts that more than one job of Slurm's has begun; count those that were refused."""
        for job in self._house.jobs():
            told = job.directory(self._house.root).events.read_text().splitlines()
            self._figures.refused += sum('"event": "shim_refused"' in line for line in told)
            begun = [line for line in told if '"event": "step_started"' in line and f'"step": "{Step.TRAIN}"' in line]
            attempts = Counter(re.findall(r'"attempt": (\d+)', "\n".join(begun)))
            yield from (f"{job.label}: attempt {one} ran {many} times" for one, many in attempts.items() if many > 1)

    def _left_for_good(self) -> list[str]:
        """Return what is still there when it has had its time to see that its daemon is gone."""
        deadline = time.monotonic() + 10
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def _left(self) -> list[str]:
        """Return the processes that came of this run."""
        found = []
        for process in psutil.process_iter():
            try:
                told = Path(f"/proc/{process.pid}/environ").read_bytes()
            except OSError:  # it has ended, or is another user's
                continue
            if f"SLURM_CONF={self._cluster.place}".encode() in told or f"={self._runs}".encode() in told:
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        return found
