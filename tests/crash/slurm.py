"""A Slurm of one node for a stage: it answers as Slurm 22.05 does, runs jobs one at a time, and is on another host.

It stands where glmd calls Slurm's programs: a real one takes seconds for what is crashed hundreds of times here. What
it answers was seen of the real one; tests/slurm have that.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import CompletedProcess

from daemon.serve.jobs import on_nodes, slurm_work
from handlers.ckpt.files.durable import publish_bytes
from handlers.shim import job, job_training, node
from handlers.shim.instance import StepRun
from handlers.slurm import calling

NODE = "n1"
SECTION = "  launcher: cluster\n  slurm: {nodes: 1, devices_per_node: 2}\n"
"""What a dropped file says in place of `devices`."""
SETTINGS = {"devices_from": "all", "address": "lo", "gres": "", "poll": 1, "settle": 1}
_SRUN = """\
touch {place}/begin
while ! [ -e {place}/code ]; do sleep 0.02; done
code=$(cat {place}/code)
rm {place}/code
exit $code
"""
"""In srun's place: asks for the shim of the node, and ends as that does."""


@dataclass
class Row:
    """A job that it knows."""

    id: int
    name: str
    arguments: list[str]
    """Of handlers.shim.job."""
    exclude: str = ""
    state: str = "PENDING"
    reason: str = "None"
    node: str = ""
    is_forgotten: bool = False


class Slurm:
    """Its programs, called in the daemon's process; and what it does by itself, in the test's."""

    def __init__(self, place: Path, *, has_losses: bool = False) -> None:
        self._place = place
        self._has_losses = has_losses
        """Whether it forgets the first job, cannot start the second, and has no node for the third but that one's."""
        self._pids: dict[str, int] = {}
        """Of the shims that run, in the test's process."""
        place.mkdir(exist_ok=True)

    def stand_in(self) -> None:
        """Take the place of Slurm's programs in this process, and let nothing be waited for long."""
        calling.subprocess = self  # type: ignore[assignment] # all that is asked of it
        slurm_work.next_question = lambda answer, _: answer.at + 0.1  # type: ignore[assignment]
        on_nodes.LOOK_EVERY, on_nodes.EXIT_ALLOWANCE, on_nodes.FORGOTTEN = 0.1, 0.3, 0.3

    # In place of the module subprocess

    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired
    CompletedProcess = CompletedProcess

    def run(self, argv: Sequence[str], **_: object) -> CompletedProcess[str]:
        """Answer as the program would."""
        with self._jobs() as jobs:
            stdout, stderr = getattr(self, f"_{argv[0]}")(jobs, argv[1:])
        return CompletedProcess(argv, 1 if stderr else 0, stdout, stderr)

    def _sinfo(self, _: list[Row], __: Sequence[str]) -> tuple[str, str]:
        return "", "sinfo: error: Unable to contact slurm controller\n"  # the check may then only warn

    def _sbatch(self, jobs: list[Row], argv: Sequence[str]) -> tuple[str, str]:
        if "--test-only" in argv:
            return "", "sbatch: error: Unable to contact slurm controller\n"
        options = dict(one.partition("=")[::2] for one in argv[:-1])
        last = Path(argv[-1]).read_text(encoding="utf-8").split()
        number, exclude = len(jobs) + 1, options.get("--exclude", "")
        row = Row(number, options["--job-name"], last[-3:], exclude)
        if exclude and not self._has_losses:
            row.state, row.reason = "FAILED", "BadConstraints"
        jobs.append(row)
        if row.state == "FAILED":
            return "", "sbatch: error: Batch job submission failed: Requested node configuration is not available\n"
        return f"{number}\n", ""

    def _squeue(self, jobs: list[Row], argv: Sequence[str]) -> tuple[str, str]:
        wanted = [one.removeprefix("--name=") for one in argv if one.startswith("--name=")]
        told = [one for one in jobs if not one.is_forgotten and (not wanted or one.name in wanted)]
        return "".join(f"{one.id}|{one.state}|{one.reason}|N/A|{one.node}|{one.name}|main\n" for one in told), ""

    def _scancel(self, jobs: list[Row], argv: Sequence[str]) -> tuple[str, str]:
        name, number = argv[0].removeprefix("--name="), int(argv[1])
        for one in jobs:
            if (one.id, one.name, one.state) == (number, name, "PENDING"):
                one.state = "CANCELLED"
        return "", ""

    def _scontrol(self, jobs: list[Row], argv: Sequence[str]) -> tuple[str, str]:
        if argv[0] == "update":
            name, exclude = (one.partition("=")[2] for one in argv[1:])
            for one in jobs:
                if (one.name, one.state) == (name, "PENDING"):
                    one.exclude = exclude
        return "BOOT_TIME               = 2026-01-01T00:00:00\n", ""

    # What it does by itself

    def turn(self, run: Callable[[str, Callable[[], int]], int], ended: Mapping[int, int]) -> None:
        """Start what is to be started by `run`, which returns its pid; `ended` has the exit codes of what ended."""
        self._note_ends(ended)
        with self._jobs() as jobs:
            running = next((row for row in jobs if row.state == "RUNNING"), None)
            if running is None and "node" not in self._pids:
                self._code.unlink(missing_ok=True)
                begins = next((row for row in jobs if row.state == "PENDING" and self._starts(row)), None)
            else:
                begins = None
        # Not with the lock held, which whoever is forked would have as well.
        if begins is not None:
            self._pids["job"] = run("job", self._batch_step(begins))
        if self._begin.exists() and running is not None:
            self._begin.unlink()
            self._pids["node"] = run("node", self._node(running))

    def _note_ends(self, ended: Mapping[int, int]) -> None:
        if (pid := self._pids.get("node")) in ended:
            code = ended[self._pids.pop("node")]
            publish_bytes(self._code, str(128 - code if code < 0 else code).encode(), lasting=False)
        if (pid := self._pids.get("job")) is None or pid not in ended:
            return
        del self._pids["job"]
        with self._jobs() as jobs:
            row = next(row for row in jobs if row.state == "RUNNING")
            row.state, row.reason = ("FAILED", "NonZeroExitCode") if ended[pid] else ("COMPLETED", "None")
        self._begin.unlink(missing_ok=True)
        if "node" in self._pids:
            os.kill(self._pids["node"], signal.SIGTERM)

    def _starts(self, row: Row) -> bool:
        """Let a job begin, where nothing is against it."""
        if self._has_losses and row.id == 1:
            row.is_forgotten, row.state = True, "CANCELLED"
            return False
        if row.exclude:
            row.reason = f"ReqNodeNotAvail, UnavailableNodes:{NODE}"
            return False
        row.node = NODE
        if self._has_losses and row.id == 2:
            row.state, row.reason = "FAILED", "JobLaunchFailure"
            return False
        row.state, row.reason = "RUNNING", "None"
        return True

    def _batch_step(self, row: Row) -> Callable[[], int]:
        def srun(_: StepRun, __: int) -> tuple[str, ...]:
            return ("sh", "-c", _SRUN.format(place=self._place))

        def batch_step() -> int:
            job_training.LAST_RECORDS, job_training.OTHER_CAUSES = 0.3, 0.3
            os.environ |= {"SLURM_JOB_ID": str(row.id), "SLURM_JOB_NODELIST": NODE}
            return job.main(row.arguments, srun)

        return batch_step

    def _node(self, row: Row) -> Callable[[], int]:
        def step() -> int:
            os.environ |= {"SLURM_JOB_ID": str(row.id), "SLURM_NODEID": "0", "SLURMD_NODENAME": NODE}
            return node.main(row.arguments[:2])

        return step

    # What it remembers: in files, for several processes ask it

    @property
    def _begin(self) -> Path:
        return self._place / "begin"

    @property
    def _code(self) -> Path:
        return self._place / "code"

    @contextlib.contextmanager
    def _jobs(self) -> Iterator[list[Row]]:
        """Lock them, and write them in one go: whoever asks may be killed at any moment."""
        descriptor = os.open(self._place / "jobs", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = os.read(descriptor, 1 << 20)
            jobs = [Row(**told) for told in json.loads(before or b"[]")]
            yield jobs
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps([asdict(one) for one in jobs]).encode().ljust(len(before)))
        finally:
            os.close(descriptor)
