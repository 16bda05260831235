"""A soak: real jobs under a daemon that is killed, as are its shims and ranks, while all around it goes wrong.

    python benchmarks/chaos.py [--minutes 60] [--seed N] [--json] [--keep DIRECTORY]

Everything is real but the training, which tests/acceptance/standin plays in real processes: daemon, shims, ranks,
merges. The root directory is a small tmpfs, in a mount namespace of this program's own (unshare). For N minutes YAMLs
are dropped, and at random moments one of benchmarks/acts.py is done: daemon, shims and ranks are killed, the disk is
filled, directories are removed or moved away and put back, an older store is put back, a file names a mount that never
answers, or has absurd values, a member of the group tries what he may not (as root alone). Then there is calm: what
failed must say so in words that name what was done to it, and is retried once. In the end every dropped file is one job
that is done, or failed for want of its directory, or was rejected for what was done to it; root and store agree; no
device had two jobs at once, no process is left, and glmd met no defect of its own. Else the exit code is 1, and --keep
has a copy of all that is left, for whoever looks why.

    python benchmarks/chaos.py --slurm [--minutes 60] [--seed N] [--json] [--keep DIRECTORY]

Trainings on nodes of a real Slurm on loopback instead (benchmarks/slurm_soak.py): at random moments one of the acts of
benchmarks/slurm_storm.py is done to the daemon, slurmctld, a slurmd, a shim, a rank, or a whole node. Then there is
calm, as above. In the end every dropped file is one job that is done, no attempt has run twice, no two attempts of a
job beside each other, and root and store agree; or the exit code is 1.

    python benchmarks/chaos.py --nights 90 [--seed N] [--json]

Nights instead, as tests/acceptance/room_month.py plays them (as root alone): on a disk that is too small for all of
them, which somebody else fills, too, with kills, rollbacks, jobs that people drop, and files of their own. Each one is
accounted for, `latest` is never bad, nothing goes that a rule keeps, and all that none keeps; or the exit code is 1.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from benchmarks.acts import DEFECT, Act, wrong_reason
from benchmarks.places import name_of
from benchmarks.scene import Scene
from benchmarks.slurm_soak import Figures as SlurmFigures
from benchmarks.slurm_soak import SlurmSoak
from benchmarks.storm import Storm
from daemon.core.control import NotRunningError, ask
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.face.audit import check_state
from daemon.face.audit.disagreement import Disagreement, Kind
from tests.acceptance.house import House
from tests.acceptance.room_month import Figures as NightFigures
from tests.acceptance.room_month import play_month
from tests.acceptance.test_members import GLM

CALM = 300.0
"""Seconds in which, when nothing more is done to them, the next of the jobs must be over."""
TRACEBACK = re.compile(r"^Traceback .*\n(?:(?: .*)?\n)*.*", re.MULTILINE)
"""On the daemon's standard error, with the line that ends it: glmd itself writes log events there, and nothing else."""
IN_NAMESPACE = "GLMD_CHAOS_IN_NAMESPACE"
"""Who started it: within, everybody is root."""


@dataclass
class Figures:
    """What happened."""

    seed: int
    minutes: float
    acts: dict[Act, int] = field(default_factory=dict)
    left_out: list[Act] = field(default_factory=list)
    """What takes root, where that did not start it."""
    dropped: int = 0
    done: int = 0
    """Without anybody's help."""
    of_these_resumed: int = 0
    failed: int = 0
    """With a reason that names what was done to it."""
    done_after_retry: int = 0
    failed_for_good: int = 0
    """Of those that failed: their directory was removed, or their values are absurd."""
    rejected: int = 0
    """With a reason: for want of space on the disk, a file that is not there, absurd values."""
    lost_with_both: int = 0
    """Whose directory was removed, and then an older store put back that knows nothing of them."""
    slowest_start_s: float = 0.0
    """Of the daemon, until it answered."""
    faults: list[str] = field(default_factory=list)
    """What was not as it should be; empty is a pass."""


def main() -> None:
    """Soak, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--slurm", action="store_true", help="trainings on nodes of a real Slurm instead")
    parser.add_argument("--nights", type=int, help="play so many nights on a small disk instead")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="copy what is left to this directory when the soak fails")
    asked = parser.parse_args()
    if asked.slurm:
        print(f"seed {asked.seed}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as directory:
            sys.exit(tell(SlurmSoak(Path(directory), asked.minutes, asked.seed).run(asked.keep), as_json=asked.json))
    if IN_NAMESPACE not in os.environ:
        os.environ[IN_NAMESPACE] = str(os.getuid())
        unshare = ["unshare", "--mount", "--propagation", "private", *([] if os.getuid() == 0 else ["--map-root-user"])]
        seed = [] if "--seed" in sys.argv else ["--seed", str(asked.seed)]
        os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv, *seed])  # noqa: S606 - a list of words, no shell
    print(f"seed {asked.seed}", file=sys.stderr, flush=True)
    if asked.nights:
        with tempfile.TemporaryDirectory() as directory:
            sys.exit(tell_nights(play_month(Path(directory), asked.seed, asked.nights), as_json=asked.json))
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(tell(Soak(Path(directory), asked.minutes, asked.seed).run(asked.keep), as_json=asked.json))


def tell(figures: "Figures | SlurmFigures", *, as_json: bool) -> int:
    """Print a table or JSON; return the exit code."""
    if as_json:
        print(json.dumps(asdict(figures)))
    else:
        rows = asdict(figures) | {"acts": sum(figures.acts.values())} | figures.acts
        if isinstance(figures, Figures):
            rows["left_out"] = ", ".join(figures.left_out) or "-"
        for name, value in rows.items():
            print(f"{name:<36}{f'{value:.1f}' if isinstance(value, float) else value!s:>10}")
    return 1 if figures.faults else 0


def tell_nights(figures: NightFigures, *, as_json: bool) -> int:
    """Print a table or JSON; return the exit code."""
    if as_json:
        print(json.dumps(vars(figures)))
    else:
        for name, value in vars(figures).items():
            print(f"{name:<18}{dict(value) if isinstance(value, Counter) else value}")
    return 1 if figures.faults else 0


class Soak:
    """One run: the storm, the calm, the reckoning."""

    def __init__(self, directory: Path, minutes: float, seed: int) -> None:
        self._figures = Figures(seed, minutes)
        self._house = House(directory)
        self._root = self._house.root
        self._mark = f"GLMD_CHAOS={directory}"
        name, _, value = self._mark.partition("=")
        self._house.daemon_environment = {name: value}
        self._house.environment(STANDIN_PAUSE="0.04", STANDIN_SAVE="10", **{name: value})
        self._house.settings |= {"inbox": {"settle": 0.1, "rescan": 2}, "cancel": "owner"}
        self._scene = Scene(self._house, seed)
        self._may_fail: set[int] = set()
        """The jobs that may fail for good: nothing can be made of them, though they were retried."""
        self._has_members = os.environ[IN_NAMESPACE] == "0"
        directory.chmod(0o711)  # for members

    def run(self, keep: Path | None) -> Figures:
        """Return what happened; where that was not as it should be, copy what is left to `keep`."""
        with small_disk(self._root, int(64 + 8 * self._figures.minutes), has_members=self._has_members):
            storm = Storm(self._scene, has_members=self._has_members)
            try:
                storm.rage(time.monotonic() + 60 * self._figures.minutes)
                self._calm()
                self._reckon()
            finally:
                self._scene.undo(everything=True)  # nothing else ends who waits for a mount
                self._house.close()
            self._figures.acts, self._figures.slowest_start_s = storm.acts, self._scene.slowest_start
            self._figures.left_out = [act for act in Act if act not in storm.acts]
            self._figures.faults += self._house.taken_twice()
            self._figures.faults += [*self._scene.faults, *(f"left running: {one}" for one in self._left_for_good())]
            if keep is not None and self._figures.faults:
                shutil.copytree(self._root, keep, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
                shutil.copy(self._house.log, keep / "daemon.log")
        return self._figures

    # The calm, and the reckoning

    def _calm(self) -> None:
        """Let all jobs come to their ends, ask why those ended that failed, and retry them."""
        self._until_over()
        for job in self._house.jobs():
            acts = self._scene.done_to.get(job.name, set())
            if job.state is State.FAILED:
                self._figures.failed += 1
                self._figures.faults += wrong_reason(job, acts)
                self._retry(job, acts)
            elif job.state is State.REJECTED:
                self._figures.faults += wrong_reason(job, acts | {Act.DISK_FULL})
            elif job.state is State.DONE:
                self._figures.done += 1
                self._figures.of_these_resumed += job.attempt > 1
        self._until_over()

    def _retry(self, job: Job, acts: set[Act]) -> None:
        """Retry a job, and note where it need not come to anything."""
        retried = self._house.run("retry", str(job.id))
        is_rejected = (self._root / "rejected" / f"{job.name}.yaml").exists()  # taken in, and refused after a fault
        is_removed = (Act.DIRECTORY_REMOVED in acts or is_rejected) and "nothing to run any more" in retried.stderr
        if is_removed or Act.ABSURD_VALUES in acts:
            self._may_fail.add(job.id)
        if retried.returncode != 0 and not is_removed:
            self._figures.faults.append(f"{job.label} cannot be retried: {retried.stderr}")

    def _until_over(self) -> None:
        deadline, before = 0.0, -1
        while (left := self._scene.unfinished()) != 0:
            if left != before:
                deadline, before = time.monotonic() + CALM, left
            if time.monotonic() > deadline:
                self._figures.faults += [f"{one.label} is still {one.state}" for one in self._scene.jobs_not_over()]
                return
            time.sleep(0.1)

    def _reckon(self) -> None:
        self._scene.restart(signal.SIGTERM)  # a start removes what killed writers left
        jobs = self._house.jobs()
        self._count(jobs)
        failed = [job for job in jobs if job.state not in {State.DONE, State.REJECTED}]
        self._figures.failed_for_good = len(failed)
        self._figures.done_after_retry = sum(job.state is State.DONE for job in jobs) - self._figures.done
        self._figures.faults += [
            f"{job.label} is {job.state} after its retry: {job.reason}"
            for job in failed
            if job.id not in self._may_fail
        ]
        self._figures.faults += [str(each) for each in check_state(Root(self._root)) if not self._is_of_lost(each)]
        log = self._house.log.read_text(errors="replace")
        self._figures.faults += [line for line in log.splitlines() if DEFECT in line]
        self._figures.faults += TRACEBACK.findall(log)
        with suppress(NotRunningError):
            ask(self._root, "ping", timeout=1.0)
            return
        self._figures.faults.append("the daemon does not answer within 1 s")

    def _is_of_lost(self, found: Disagreement) -> bool:
        """Say whether it is about what the last event made anew of a directory that was removed, and then its row."""
        return found.kind is Kind.DIRECTORY_WITHOUT_JOB and name_of(found.where) in self._scene.lost

    def _count(self, jobs: Sequence[Job]) -> None:
        """See that each dropped file is one job, or was rejected; the row of that may be lost with the store."""
        self._figures.dropped = len(self._scene.names)
        names = Counter(job.name for job in jobs)
        for name in self._scene.names:
            is_rejected = (self._root / "rejected" / f"{name}.yaml").exists()
            self._figures.rejected += is_rejected
            is_lost = names[name] == 0 and not is_rejected and name in self._scene.lost
            self._figures.lost_with_both += is_lost
            if names[name] != 1 and not is_rejected and not is_lost:
                self._figures.faults.append(f"{name} is {names[name]} jobs")

    def _left_for_good(self) -> list[str]:
        """Return what is still there when what was just starting has had its time to see that its daemon is gone."""
        deadline = time.monotonic() + 10
        while (left := list(self._left())) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def _left(self) -> Iterator[str]:
        """Yield the processes that came of this run, known by the mark in their environment."""
        for process in psutil.process_iter():
            with suppress(OSError, psutil.NoSuchProcess):
                marked = self._mark.encode() in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    yield f"{process.pid} {' '.join(process.cmdline())}"


@contextmanager
def small_disk(place: Path, mib: int, *, has_members: bool) -> Iterator[None]:
    """Mount a tmpfs of `mib` MiB at `place`, in this program's own namespace; with members, it is their group's."""
    options = f"size={mib}m,mode=2770" + (f",gid={GLM}" if has_members else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "glmd-chaos", place], check=True)  # noqa: S607 - wherever it is
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)  # noqa: S607 - as above


if __name__ == "__main__":
    main()
