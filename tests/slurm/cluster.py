"""A real Slurm on loopback: MUNGE, a controller, and some nodes, as children of the test. It is ready in 0.3 s.

Each node is a slurmd with an address of its own below 127/8, all of which is local on Linux. Its devices are plain
files. An ordinary user's cluster runs that user's jobs.
"""

import contextlib
import os
import platform
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil

from tests.slurm.packages import slurm

DEVICES = 8
PATIENCE = 60.0
_LIBRARIES = f"usr/lib/{platform.machine()}-linux-gnu"
_OF_ANOTHER = ("SLURM_", "SBATCH_", "SQUEUE_", "SRUN_", "SCANCEL_")


class Cluster:
    """Enter it, and it runs; leave it, and nothing of it is left."""

    def __init__(self, place: Path, nodes: int = 2) -> None:
        self.place = place
        self.nodes = {f"n{number}": f"127.0.0.{10 + number}" for number in range(1, nodes + 1)}
        """Their addresses, by name."""
        root = slurm()
        self._programs = root / "usr" / "sbin"
        self._plugins = root / _LIBRARIES / "slurm-wlm"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_ANOTHER)}
        self.environment = {
            **own,
            "SLURM_CONF": str(place / "slurm.conf"),
            "PATH": f"{root}/usr/bin:{root}/usr/sbin:{os.environ['PATH']}",
        }
        if root != Path("/"):  # what is installed finds its libraries, and another Python would find those of Debian's
            self.environment["LD_LIBRARY_PATH"] = f"{root / _LIBRARIES}:{self._plugins}"

    def __enter__(self) -> Self:
        """Write every file of its configuration, and start all."""
        try:
            self._configure()
            self._start_munge()
            self.start_controller()
            for node in self.nodes:
                self.start_node(node)
            self._until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all, jobs first: they outlive Slurm's daemons."""
        self.stop()

    # The daemons, in the foreground, so that they are waited for

    def start_controller(self) -> None:
        """Start slurmctld, and wait until it listens."""
        self._start("slurmctld", "slurmctld", "-D")
        self._until(self._listens, "slurmctld listens")

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self._start(node, "slurmd", "-D", "-N", node, "-d", str(self._programs / "slurmstepd"))

    def forget_jobs(self) -> None:
        """Let a slurmctld that is down lose all that it knew of jobs: also which numbers it gave them."""
        for path in (self.place / "state").glob("job_state*"):
            path.unlink()

    def pid(self, name: str) -> int:
        """Return that of slurmctld or of a node's slurmd."""
        return self._daemons[name].pid

    def send(self, name: str, number: signal.Signals) -> None:
        """Send slurmctld or a node's slurmd a signal."""
        self._daemons[name].send_signal(number)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End slurmctld or a node's slurmd."""
        daemon = self._daemons.pop(name)
        daemon.send_signal(number)
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def lose(self, node: str) -> None:
        """Let a node go down with all that runs there, as when its power is cut; `start_node` brings it back."""
        gone = []
        for task in self._of_jobs():
            with contextlib.suppress(psutil.NoSuchProcess):
                if f"SLURMD_NODENAME={node}" in _environment(task):
                    steps = [parent for parent in task.parents() if parent.name() == "slurmstepd"]
                    gone += [*steps, task, *task.children(recursive=True)]
        for act in (psutil.Process.suspend, psutil.Process.kill):  # nobody lives to tell of another's end
            for process in gone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    act(process)
        self.end(node, signal.SIGKILL)

    def stop(self) -> None:
        """End jobs and daemons, and what jobs have left: proctrack/linuxproc follows parents alone."""
        with contextlib.suppress(subprocess.SubprocessError):
            if "slurmctld" in self._daemons and (jobs := self.run("squeue", "-h", "-o", "%i").split()):
                self.run("scancel", "-f", *jobs)
        for process in self._of_jobs():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for name in sorted(self._daemons, key=lambda name: (name == "munged", name == "slurmctld")):
            self.end(name)

    # Asking it

    def run(self, *command: str) -> str:
        """Return what one of Slurm's programs prints. Raises subprocess.SubprocessError."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=PATIENCE
        )  # fmt: skip
        return done.stdout

    def jobs(self) -> list[tuple[str, str, str]]:
        """Return number, name and state of all jobs that it knows."""
        told = self.run("squeue", "-h", "-a", "-t", "all", "-o", "%i|%j|%T").splitlines()
        return [(number, name, state) for number, name, state in (line.split("|") for line in told)]

    def give_back(self) -> None:
        """Let Slurm use the nodes again that it has drained or has down though their slurmd is there."""
        for node in self.run("sinfo", "-h", "-N", "-t", "drain,down", "-o", "%N").split():
            with contextlib.suppress(subprocess.CalledProcessError):  # it has come back by itself meanwhile
                self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def _of_jobs(self) -> list[psutil.Process]:
        """Return the processes of jobs, by this cluster's configuration in their environment."""
        found = []
        mark = f"SLURM_CONF={self.place / 'slurm.conf'}"
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                told = _environment(process)
                is_of_a_job = process.name() == "slurmstepd" or any(one.startswith("SLURM_JOB_ID=") for one in told)
                if mark in told and is_of_a_job and process.pid != os.getpid():
                    found.append(process)
        return found

    # Setting it up

    def _configure(self) -> None:
        user, host = pwd.getpwuid(os.getuid()).pw_name, socket.gethostname().partition(".")[0]
        for directory in ("munge", "state", "log", "dev", *(f"spool/{node}" for node in self.nodes)):
            (self.place / directory).mkdir(parents=True)
        self.place.chmod(0o755)
        (self.place / "munge").chmod(0o711)
        key = self.place / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        for number in range(DEVICES):
            (self.place / "dev" / f"npu{number}").touch()
        prolog = self.place / "task_prolog.sh"
        prolog.write_text(f"#!/bin/sh\nexec {sys.executable} -I {Path(__file__).with_name('task_prolog.py')}\n")
        prolog.chmod(0o755)
        self._port, *ports = _free_ports(1 + len(self.nodes))
        (self.place / "slurm.conf").write_text(self._settings(user, host, ports))
        (self.place / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # without it slurmd wants /sys/fs/cgroup
        # By files a job gets numbers of devices (IDX:0-3); Count= alone only counts.
        gres = f"Name=npu File={self.place}/dev/npu[0-{DEVICES - 1}]"
        (self.place / "gres.conf").write_text("".join(f"NodeName={node} {gres}\n" for node in self.nodes))

    def _settings(self, user: str, host: str, ports: list[int]) -> str:
        place = self.place
        nodes = "".join(
            f"NodeName={node} NodeHostname={host} NodeAddr={address} Port={port} CPUs=8 RealMemory=4000 Gres=npu:8\n"
            for (node, address), port in zip(self.nodes.items(), ports, strict=True)
        )
        return f"""\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={self._port}
CommunicationParameters=NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={place}/munge/socket
PluginDir={self._plugins}
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool/%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldLogFile={place}/log/slurmctld
SlurmdLogFile={place}/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
GresTypes=npu
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=0
MinJobAge=300
KillWait=5
SlurmdTimeout=3
MessageTimeout=3
MailProg=/bin/true
TaskProlog={place}/task_prolog.sh
{nodes}PartitionName=main Nodes={",".join(self.nodes)} Default=YES MaxTime=INFINITE State=UP
"""

    def _start_munge(self) -> None:
        place = self.place / "munge"
        self._start(
            "munged", "munged", "--foreground", "--force", f"--socket={place}/socket", f"--key-file={place}/key",
            f"--pid-file={place}/pid", f"--log-file={place}/log", f"--seed-file={place}/seed",
        )  # fmt: skip
        self._until((place / "socket").exists, "munged listens")

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self.place / "log" / f"{name}.out").open("ab") as stream:
            self._daemons[name] = subprocess.Popen(
                [shutil.which(program, path=str(self._programs)) or program, *arguments],
                env=self.environment,
                cwd="/",
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False

    def _until_ready(self) -> None:
        def ready() -> bool:
            with contextlib.suppress(subprocess.CalledProcessError):
                return sum(map(int, self.run("sinfo", "-h", "-t", "idle", "-o", "%D").split())) == len(self.nodes)
            return False

        self._until(ready, "all nodes are idle")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            assert not ended, f"{ended} ended; see {self.place}/log"
            assert time.monotonic() < deadline, f"still not true: {what}; see {self.place}/log"
            time.sleep(0.02)


def _environment(process: psutil.Process) -> list[str]:
    """Return what it was started with, as `NAME=VALUE`; nothing of one that has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
    return []


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
