"""Jobs of a minute, one a node, that look what the nodes of a cluster have; none of them is left behind.

They are cancelled in any case, at Ctrl-C and at TERM, too. What even that does not reach, for `glmd doctor` was killed
or Slurm does not answer, ends by itself: each has a time limit, and a deadline for its wait in the queue.
"""

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmSettings
from handlers.ckpt.files.durable import UMASK, publish_bytes
from handlers.records.probe import Probe
from handlers.slurm.calling import UnclearError
from handlers.slurm.client import NotTakenError, SlurmClient
from handlers.slurm.placement import Placement
from handlers.slurm.queue import Row

PATIENCE = 120.0
"""Seconds for all jobs to start, and to have looked."""
FILES = 5.0
"""Seconds that a node's file may come later than Slurm's word that its job is over."""
LOOK_EVERY = 1.0
MINUTES = 4
"""After which Slurm itself drops what still waits: more than PATIENCE."""
MEMORY = "512M"
"""Of a node, which may be busy with trainings."""
MOST_OUTPUT = 4096
NOTHING = "nothing: is the root the same directory there?"
_OVER = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "OUT_OF_MEMORY"}
)
_PLACING = ("--account=", "--constraint=", "--partition=", "--qos=", "--reservation=", "--wckey=")
"""Of the site's own options: by whose account, and on which nodes. What else a training needs, as --exclusive, a look
would wait for in vain while others train."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Probed:
    """What came of one node's job."""

    node: str
    probe: Probe | None
    """What it found; None where it wrote nothing."""
    why: str = ""
    """Why it wrote nothing."""


@dataclass
class _Probing:
    settings: Settings
    slurm: SlurmSettings
    client: SlurmClient
    place: Path
    """On the shared root."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Slurm's number, by node."""

    @property
    def name(self) -> str:
        """What all of its jobs are called, as no other."""
        return f"glmd-{self.place.name.strip('.')}"

    def submit(self, node: str) -> Probed | None:
        """Let Slurm have the job for `node`; return why it has not."""
        script = self.place / f"{node}.sh"
        publish_bytes(script, self._script(node).encode(), mode=0o750)
        try:
            self.jobs[node] = self.client.submit(self._options(node), script)
        except (NotTakenError, UnclearError) as error:
            return Probed(node, None, str(error))
        return None

    def _script(self, node: str) -> str:
        table, slurm = self.settings.rank_table, self.slurm
        look = [
            *(slurm.interpreter, "-P", "-m", "handlers.shim.probe", str(self.place / f"{node}.json")),
            *("--training", str(self.settings.training.python), "--devices", str(slurm.devices_per_node)),
            *("--hccn-tool", table.hccn_tool, "--hccn-conf", str(table.hccn_conf)),
        ]
        prologue = f"{slurm.prologue.rstrip()}\n" if slurm.prologue.strip() else ""
        return f"#!/bin/bash\n{prologue}umask {UMASK:04o}\nexec {shlex.join(look)}\n"

    def _options(self, node: str) -> tuple[str, ...]:
        site = self.slurm.site
        where = Placement(
            nodes=1,
            time=60.0,
            memory=MEMORY,
            partition=site.partition,
            account=site.account,
            qos=site.qos,
            reservation=site.reservation,
            extra=tuple(option for option in site.options if option.startswith(_PLACING)),
        )
        return (
            f"--job-name={self.name}",
            f"--nodelist={node}",
            "--no-requeue",
            f"--deadline=now+{MINUTES}minutes",
            "--export=ALL",
            "--propagate=NONE",
            f"--output={self.place / node}.out",
            *where.options,
            *where.extra,
        )

    def results(self, deadline: float) -> Iterator[Probed]:
        """Yield what comes of each node, as it comes."""
        over: dict[str, float] = {}
        while self.jobs:
            rows = self._rows()
            now = time.monotonic()
            for node in [*self.jobs]:
                if (probed := self._of(node, rows, over, late=now > deadline)) is not None:
                    del self.jobs[node]
                    yield probed
            if self.jobs:
                time.sleep(LOOK_EVERY)

    def _rows(self) -> dict[str, Row] | None:
        try:
            return {row.id: row for row in self.client.jobs_called(self.name)}
        except UnclearError:
            return None  # the files are looked at still

    def _of(self, node: str, rows: dict[str, Row] | None, over: dict[str, float], *, late: bool) -> Probed | None:
        names = os.listdir(self.place)  # noqa: PTH208 - listed, a directory on a file server tells what is new in it
        if f"{node}.json" in names:
            try:
                return Probed(node, Probe.read(self.place / f"{node}.json"))
            except (OSError, ValidationError) as error:
                return Probed(node, None, f"what it wrote cannot be read: {error}")
        row = None if rows is None else rows.get(self.jobs[node])
        if late:
            where = "Slurm does not say" if row is None else f"{row.state} ({row.reason})"
            return Probed(node, None, f"had written nothing after {PATIENCE:.0f} s: {where}")
        if rows is None or (row is not None and row.state not in _OVER):
            return None
        if time.monotonic() - over.setdefault(node, time.monotonic()) < FILES:
            return None
        output = self._output_of(node)
        return Probed(node, None, f"its job is {row.state if row else 'over'}, and wrote {output or NOTHING}")

    def _output_of(self, node: str) -> str:
        try:
            with (self.place / f"{node}.out").open("rb") as stream:
                text = stream.read(MOST_OUTPUT).decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f"no result, but: {lines[-1]:.300}" if lines else ""

    def end(self) -> None:
        """Leave no job behind, nor file: those of which sbatch's answer was lost are found by their name."""
        before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, *_ENDING)]
        try:  # undisturbed: who is impatient waits for a minute at most
            for row in self.client.jobs_called(self.name):
                if row.state not in _OVER:
                    self.client.cancel(self.name, row.id)
        except UnclearError as error:
            sys.stderr.write(f"{error}; what is left ends by itself in {MINUTES} minutes: scancel --name={self.name}\n")
        finally:
            shutil.rmtree(self.place, ignore_errors=True)
            for number, handler in before:
                signal.signal(number, handler)


def probes(settings: Settings, slurm: SlurmSettings, nodes: Sequence[str]) -> Generator[Probed]:
    """Yield what each of these nodes has, as it becomes known. Raises OSError where the root cannot be written to.

    For the main thread of a process: it hears of signals.
    """
    place = Path(tempfile.mkdtemp(prefix=".probe-", dir=settings.root))
    probing = _Probing(settings, slurm, SlurmClient(slurm.programs), place)
    with _signals_as_exceptions():
        try:
            yield from filter(None, [probing.submit(node) for node in nodes])
            yield from probing.results(time.monotonic() + PATIENCE)
        finally:
            probing.end()


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Let what ends a process without a word end it as Ctrl-C does."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = [(number, signal.signal(number, end)) for number in _ENDING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
