"""What benchmarks/chaos.py does to a daemon, its shims and ranks, and to their disk; and when it does what."""

import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from benchmarks.acts import WEIGHTS, Act
from benchmarks.member import Member
from benchmarks.places import Places
from benchmarks.scene import Scene
from daemon.core.temporaries import living_shim
from handlers.records.job_dir import StepDir
from tests.acceptance.house import CONFIG
from tests.fuzz.fuzz_daemon import absurd

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 5
"""Jobs that are not over, at most."""
PAUSE = (0.05, 1.2)
"""Seconds between two acts."""
COPIES = 0.1
"""How likely it is between two acts that the store is copied, for an old one to be put back later."""


class Storm:
    """Drops files, and does at random what is in WEIGHTS: each act once, then each as often as it weighs."""

    def __init__(self, scene: Scene, *, has_members: bool) -> None:
        self._scene, self._house, self._root, self._chance = scene, scene.house, scene.root, scene.chance
        self._places, self._member = Places(scene), Member(scene)
        self._acts: dict[Act, Callable[[], bool]] = {
            Act.DAEMON_KILLED: lambda: self._restart(signal.SIGKILL),
            Act.DAEMON_STOPPED: self._stop_and_continue,
            Act.DAEMON_RESTARTED: lambda: self._restart(signal.SIGTERM),
            Act.SHIM_KILLED: lambda: self._strike_shim(Act.SHIM_KILLED, signal.SIGKILL),
            Act.SHIM_TOLD_TO_END: lambda: self._strike_shim(Act.SHIM_TOLD_TO_END, signal.SIGTERM),
            Act.RANK_KILLED: self._strike_rank,
            Act.DISK_FULL: self._fill,
            Act.DIRECTORY_REMOVED: self._places.remove_directory,
            Act.DIRECTORY_MOVED: self._places.move_directory,
            Act.ROOT_MOVED: self._places.move_root,
            Act.OLD_STORE: self._places.put_old_store,
            Act.HUNG_MOUNT: self._places.hang_mount,
            Act.HOSTILE_MEMBER: self._member.attack,
            Act.ABSURD_VALUES: self._drop_absurd,
        }
        if not has_members:
            del self._acts[Act.HOSTILE_MEMBER]
        self.acts = dict.fromkeys(self._acts, 0)

    def rage(self, end: float) -> None:
        """Drop files and do harm until `end`, on the monotonic clock."""
        self._scene.start()
        self._places.keep_store()
        owed = self._chance.sample(list(self._acts), len(self._acts))
        while time.monotonic() < end or owed:
            for _ in range(AT_ONCE - self._scene.unfinished()):
                self._scene.drop("run")
            if self._chance.random() < COPIES:
                self._places.keep_store()
            time.sleep(self._chance.uniform(*PAUSE))
            self._scene.undo()
            self._act(owed)
        self._scene.undo(everything=True)

    def _act(self, owed: list[Act]) -> None:
        """Do the first of `owed` for which there is somebody to do it to; when all were done, one by its weight."""
        chosen = self._chance.choices(list(self._acts), [WEIGHTS[act] for act in self._acts])
        act = next((act for act in owed or chosen if self._acts[act]()), None)
        if act is not None:
            self.acts[act] += 1
        if act in owed:
            owed.remove(act)
        if not self._house.is_up:
            self._scene.faults.append(f"the daemon ended by itself after: {act}")
            self._scene.start()

    def _restart(self, number: signal.Signals) -> bool:
        self._scene.restart(number)
        return True

    def _stop_and_continue(self) -> bool:
        self._house.send(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.1, 2.0))
        self._house.send(signal.SIGCONT)
        return True

    def _strike_shim(self, act: Act, number: signal.Signals) -> bool:
        shims = sorted(self._shims().items())
        if not shims:
            return False
        pid, job = self._chance.choice(shims)
        self._scene.note(act, [job])
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).send_signal(number)
        return True

    def _strike_rank(self) -> bool:
        ranks = [(child, job) for pid, job in sorted(self._shims().items()) for child in children(pid)]
        if not ranks:
            return False
        rank, job = self._chance.choice(ranks)
        self._scene.note(Act.RANK_KILLED, [job])
        with suppress(psutil.NoSuchProcess):
            rank.kill()  # psutil knows a recycled pid by its start time
        return True

    def _fill(self) -> bool:
        """Fill the disk, strike once more while it is full, and free it again."""
        self._scene.note(Act.DISK_FULL, self._scene.names_not_over())
        ballast = self._root / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as stream:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        stream.write(bytes(size))
        time.sleep(self._chance.uniform(0.1, 1.0))
        self._chance.choice((self._strike_rank, lambda: self._house.stop(signal.SIGKILL), lambda: None))()
        time.sleep(self._chance.uniform(0.1, 1.0))
        ballast.unlink()
        if self._house.daemon is None:
            self._scene.start()
        return True

    def _drop_absurd(self) -> bool:
        """Drop a file with absurd values in some of its keys."""
        text = absurd(self._chance, CONFIG.format(data=self._house.data, devices="[0,2)"))
        self._scene.note(Act.ABSURD_VALUES, [self._scene.drop("absurd", text)])
        return True

    def _shims(self) -> dict[int, str]:
        """Return the living shims: pid → job."""
        steps = self._root.glob("jobs/*/attempts/*/*/")
        found = {living_shim(StepDir(step)): step.parts[-4].partition("-")[2] for step in steps}
        return {pid: job for pid, job in found.items() if pid is not None}


def children(pid: int) -> list[psutil.Process]:
    """Return the processes that a shim has started."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children()
    return []
