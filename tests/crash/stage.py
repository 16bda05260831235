"""A root with a daemon and shims that are forked from the test, so that hundreds of crashes take a minute.

They are processes of their own, with the code of `glmd serve` and `python -m handlers.shim`; only the interpreter's
start is left out, and the ranks are a shell script. Everything is driven by `tick`, without threads.
"""

import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from daemon.core.control import NotRunningError, Request, RequestRefusedError, ask_for
from daemon.core.promotions import Kind
from daemon.core.prunings import Pruning
from daemon.core.read_store import ReadStore
from daemon.core.settings import load_settings
from daemon.core.states import Job
from daemon.core.store import StoreError
from daemon.serve import service, start_up
from daemon.serve.intake.source import Clock, Moment
from daemon.serve.jobs import after_step, starting
from daemon.serve.loop.workers import Workers
from daemon.serve.steps import runner
from handlers.inputs import noting as _noting  # noqa: F401 - these are imported before the fork, else by every shim
from handlers.merging import merge as _merge  # noqa: F401
from handlers.merging import shards_origin as _shards_origin  # noqa: F401
from handlers.shim import finish as _finish  # noqa: F401
from handlers.shim import run as shim
from tests.acceptance.house import CONFIG
from tests.crash.forking import ShimStarter, fork
from tests.crash.slurm import Slurm
from tests.crash.steps import Around, Point, Step, Taken, watch
from tests.elsewhere import InThread

PATIENCE = float(os.environ.get("GLMD_TEST_PATIENCE", "60"))
SHARD = "glm-6b_rank_{rank}-{tag}.ckpt"
SHARED = "shard_{rank}.safetensors"
"""In the data: what a rank saves, where each leaves out what others do."""
RANK = f"""\
#!/bin/sh
# Plays a rank: saves a shard, or fails, or waits, as files beside the data say.
tag=31_4
for argument; do case $argument in
    --output_dir=*) output=${{argument#*=}};;
    --config=*/attempts/*) resumed=yes;;
esac; done
[ -e "$STAGE_DATA/fail_halfway" ] && [ -z "$resumed" ] && tag=15_4
[ "$MS_ROLE" = MS_SCHED ] && exit 0
[ "$MS_ROLE" ] && echo "$output $RANK_ID" >>"$STAGE_DATA/begun"
if [ -e "$STAGE_DATA/fail" ]; then echo "ValueError: loss is not a number"; exit 1; fi
while [ -e "$STAGE_DATA/hold" ]; do sleep 0.02; done
directory=$output/checkpoint/rank_$RANK_ID
mkdir -p "$directory"
from=$STAGE_DATA/shard.ckpt to=$directory/{SHARD.format(rank="$RANK_ID", tag="$tag")}
if [ -e "$STAGE_DATA/{SHARED.format(rank="$RANK_ID")}" ]; then
    from=$STAGE_DATA/{SHARED.format(rank="$RANK_ID")} to=${{to%.ckpt}}.safetensors
fi
cp "$from" "$to"
chmod 400 "$to"
if [ $tag = 15_4 ]; then
    touch "$output/saved_$RANK_ID"
    while ! [ -e "$output/saved_0" -a -e "$output/saved_1" ]; do sleep 0.01; done
    echo "RuntimeError: the device is gone"; exit 1
fi
"""


@dataclass
class Stage:
    """One root, what runs over it, and what it has done."""

    path: Path
    kills: tuple[Point, ...] = ()
    """Where processes are to be killed, one after the other."""
    recording: "Callable[[Path, str], Around] | None" = None
    """Makes what records the steps of a process, given the root and its role."""
    settings: dict[str, object] = field(default_factory=dict)
    no_shim: int = 0
    """How many shims each daemon fails to start."""
    has_daemon: bool = True
    is_hasty: bool = True
    """Whether the daemon soon gives a shim up. Kills would take minutes otherwise; a busy machine then fails jobs."""
    clock: Clock = Moment.now
    """What tells the daemon the time; asked in its process."""
    slurm: Slurm | None = None
    """Where jobs are run that are not on this host."""

    def __post_init__(self) -> None:
        self.root, self.data = self.path / "root", self.path / "data"
        self.steps_file, self.log = self.path / "steps.jsonl", self.path / "log"
        self._killed = self.path / "killed"
        self._daemon: int | None = None
        self._shims: dict[int, str] = {}
        self._requests: int | None = None
        self.restarts = 0
        self.faults: list[str] = []
        self._started = time.monotonic()

    # What the test prepares

    def furnish(self, shard: bytes) -> None:
        """Make the data, the interpreter of the ranks, and an inbox."""
        for directory in (self.root / "inbox", self.data / "checkout"):
            directory.mkdir(parents=True)
        (self.data / "base.ckpt").write_bytes(b"weights")
        (self.data / "train.json").write_text("{}\n")
        (self.data / "shard.ckpt").write_bytes(shard)
        (self.data / "hccn.conf").write_text("".join(f"address_{n}=192.168.100.10{n}\n" for n in range(8)))
        (self.data / "checkout" / "run_mindformer.py").write_text("--output_dir\n")
        (self.data / "python").write_text(RANK)
        (self.data / "python").chmod(0o755)

    def config(self, *, devices: str = "[0,2)", more: str = "") -> str:
        """Return a YAML that can be run."""
        return CONFIG.format(data=self.data, devices=devices) + more

    def drop(self, name: str = "run.yaml", text: str | None = None) -> None:
        """Move a whole file into the inbox: half of one is taken for all, as nothing waits for it to settle."""
        path = self.data / name
        path.write_text(self.config() if text is None else text)
        path.rename(self.root / "inbox" / name)

    def write_settings(self) -> None:
        """Write glmd.yaml."""
        given = {
            "devices": "[0,8)",
            "runner": "spawn",
            "preflight": "off",
            "inbox": {"settle": 0, "rescan": 1},
            "training": {
                "python": str(self.data / "python"),
                "checkout": str(self.data / "checkout"),
                "grace": 2,
                "environment": {"STAGE_DATA": str(self.data)},
            },
            "rank_table": {
                "server_ip": "192.168.1.196",
                "hccn_tool": str(self.data / "no_hccn_tool"),
                "hccn_conf": str(self.data / "hccn.conf"),
            },
        }
        (self.root / "glmd.yaml").write_text(json.dumps(given | self.settings))  # JSON is YAML

    # What the test asks

    def jobs(self) -> tuple[Job, ...]:
        """Return all jobs."""
        with contextlib.suppress(StoreError), ReadStore.open(self.root / "glmd.db") as store:
            return store.jobs()
        return ()

    def ask(self, action: str, job: int | None = None, prefix: str = "") -> str | None:
        """Ask the daemon; None when it is not there, or says no."""
        try:
            return ask_for(self.root, Request(action, job, prefix), timeout=5)
        except (NotRunningError, RequestRefusedError):
            return None

    def promotions(self) -> list[tuple[Kind, str]]:
        """Return what latest was changed to: how, and by whom."""
        with contextlib.suppress(StoreError), ReadStore.open(self.root / "glmd.db") as store:
            return [(one.kind, one.by) for one in store.promotions()]
        return []

    def prunings(self) -> list[Pruning]:
        """Return what was removed, or is being removed."""
        with contextlib.suppress(StoreError), ReadStore.open(self.root / "glmd.db") as store:
            return [one for job in store.jobs() for one in store.prunings_of(job)]
        return []

    @property
    def killed(self) -> tuple[int, ...]:
        """The processes that have been killed."""
        return tuple(map(int, self._killed.read_text().split())) if self._killed.exists() else ()

    def steps(self) -> list[Taken]:
        """Return the steps that were taken, in their order."""
        return list(map(_step_of, self.steps_file.read_text().splitlines()))

    @property
    def took(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._started

    def tail(self) -> str:
        """Return the end of what was logged."""
        return "\n".join(self.log.read_text().splitlines()[-25:]) if self.log.exists() else ""

    # Processes

    def tick(self) -> None:
        """Start what is to be started, and take note of what has ended."""
        codes: dict[int, int] = {}
        for pid in [*self._shims, *([self._daemon] if self._daemon else [])]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                codes[pid] = os.waitstatus_to_exitcode(status)
                self._gone(pid, codes[pid])
        if self.slurm is not None:
            self.slurm.turn(self.run_shim, codes)
        if not self.has_daemon:
            return
        if self._daemon is None:
            self._start_daemon()
        assert self._requests is not None
        while select.select([self._requests], [], [], 0)[0] and (packet := os.read(self._requests, 4096)):
            for line in packet.decode().splitlines():
                self._start_shim(json.loads(line))

    def stop(self) -> bool:
        """End the daemon; return False when it was killed meanwhile."""
        if self._daemon is None:
            return True
        pid = self._daemon
        os.kill(pid, signal.SIGTERM)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # A daemon that has only begun has no handler yet, and ends as any process does.
        self._gone(pid, code, expected=code in {0, -signal.SIGTERM})
        return pid not in self.killed

    def kill(self, role: str) -> bool:
        """Kill the daemon, or a shim, where it is there; say whether it was."""
        pids = {"daemon": self._daemon, **{one: pid for pid, one in self._shims.items()}}
        if (pid := pids.get(role)) is None:
            return False
        with self._killed.open("a") as stream:
            stream.write(f"{pid}\n")
        os.kill(pid, signal.SIGKILL)
        return True

    def close(self) -> None:
        """Kill everything that is left."""
        for pid in [*self._shims, *([self._daemon] if self._daemon else [])]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._shims, self._daemon = {}, None
        if self._requests is not None:
            os.close(self._requests)
            self._requests = None

    @property
    def is_quiet(self) -> bool:
        """Whether no shim is left."""
        return not self._shims

    def _gone(self, pid: int, code: int, *, expected: bool = False) -> None:
        role = self._shims.pop(pid, "daemon")
        if pid == self._daemon:
            self._daemon = None
            self.restarts += 1
        if expected:
            return
        if role == "daemon" and pid not in self.killed:
            self.faults.append(f"the daemon ended by itself, with {code}\n{self.tail()}")
            if self.restarts > 5:
                raise AssertionError(f"the daemon does not stay\n{self.tail()}")

    def _start_daemon(self) -> None:
        if self._requests is not None:
            os.close(self._requests)
        self._requests, theirs = os.pipe()

        def daemon() -> int:
            starter = ShimStarter(theirs, self.no_shim)
            runner.subprocess = SimpleNamespace(Popen=starter, DEVNULL=subprocess.DEVNULL)  # type: ignore[assignment]
            if self.is_hasty:
                after_step.DEATH_ALLOWANCE, starting.START_ALLOWANCE = 0.0, 5.0
            service.Workers = functools.partial(Workers, limit=1)  # type: ignore[assignment, misc]  # one order, always
            start_up.Apart = InThread  # type: ignore[assignment, misc]  # what it does is to be crashed, too
            if self.slurm is not None:
                self.slurm.stand_in()
            file = self.root / "glmd.yaml"
            return start_up.serve(load_settings(file, self.root), settings_file=file, clock=self.clock)

        self._daemon = self._fork("daemon", daemon)
        os.close(theirs)

    def _start_shim(self, arguments: list[str]) -> None:
        self.run_shim(arguments[-1], lambda: shim.main(arguments))

    def run_shim(self, role: str, main: Callable[[], int]) -> int:
        """Fork a process beside the daemon; return its pid."""
        pid = self._fork(role, main)
        self._shims[pid] = role
        return pid

    def _fork(self, role: str, main: Callable[[], int]) -> int:
        def watched() -> int:
            watch(self.root, self._around(role))
            return main()

        return fork(watched, self.log)

    def _around(self, role: str) -> Around:
        steps = os.open(self.steps_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        record = self.recording(self.root, role) if self.recording else None

        @contextlib.contextmanager
        def around(step: Step):  # type: ignore[no-untyped-def]  # noqa: ANN202
            line = {"role": role, "name": step.name, "lines": step.lines}
            os.write(steps, (json.dumps(line) + "\n").encode())
            done = len(self.killed)
            if self.kills[done : done + 1] == ((role, step.name),):
                with self._killed.open("a") as stream:  # never truncated: others read it meanwhile
                    stream.write(f"{os.getpid()}\n")
                os.kill(os.getpid(), signal.SIGKILL)
            with record(step) if record else contextlib.nullcontext():
                yield

        return around


@functools.cache  # a scenario takes the same steps in all its plays, but for a few
def _step_of(line: str) -> Taken:
    told = json.loads(line)
    return Taken(told["role"], told["name"], tuple(told["lines"]))
