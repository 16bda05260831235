"""What benchmarks/chaos.py does to places: directories of jobs, the root, the store, and mounts that data lie on."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.acts import Act
from benchmarks.scene import Scene
from daemon.core.read_store import ReadStore
from tests.acceptance.dead_mount import Dead, DeadMount
from tests.acceptance.house import CONFIG
from tests.acceptance.test_living import copy_store, put_back

AWAY = (0.5, 4.0)
"""Seconds for which something is away, or a mount does not answer."""


class Places:
    """Removes, moves, replaces and hangs."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._house, self._root = scene, scene.house, scene.root
        self._aside = self._root.parent / "aside"
        """What is kept here is on another disk than the root."""
        self._aside.mkdir()
        self.copy = self._aside / "copy.db"
        self._moved: set[str] = set()

    # Directories of jobs

    def remove_directory(self) -> bool:
        """Remove the directory of a job, but not the one that `latest` leads to: that is told, and not mended."""
        latest = {link.resolve().parent for link in self._root.glob("latest/*")}
        directory = self._any_directory(lambda path: path not in latest)
        if directory is None:
            return False
        self._scene.note(Act.DIRECTORY_REMOVED, [name_of(directory)])
        remove(directory)
        return True

    def move_directory(self) -> bool:
        """Move the directory of a job that is not over away for a while; meanwhile all goes on."""
        labels = {job.label for job in self._scene.jobs_not_over()}
        directory = self._any_directory(lambda path: path.name in labels)
        if directory is None:
            return False
        self._scene.note(Act.DIRECTORY_MOVED, [name_of(directory)])
        away = self._root / f"away-{directory.name}"
        directory.rename(away)
        self._moved.add(directory.name)
        self._scene.later(self._seconds(), partial(self._return_directory, away, directory))
        return True

    def _return_directory(self, away: Path, directory: Path) -> None:
        bring_back(away, directory)
        self._moved.discard(directory.name)

    def _any_directory(self, wanted: Callable[[Path], bool]) -> Path | None:
        there = [path for path in sorted(self._root.glob("jobs/*")) if path.name not in self._moved and wanted(path)]
        return self._scene.chance.choice(there) if there else None

    # The root

    def move_root(self) -> bool:
        """Move the root, which is a mount, or jobs/ away for a while, and perhaps kill the daemon meanwhile."""
        self._scene.undo(everything=True)
        self._scene.note(Act.ROOT_MOVED, self._scene.names_not_over())
        is_killed, is_whole = self._scene.chance.random() < 0.4, self._scene.chance.random() < 0.5
        away = self._aside / "root" if is_whole else self._root / "away"
        away.mkdir(exist_ok=is_whole)
        if is_whole:
            move_mount(self._root, away)
        else:
            (self._root / "jobs").rename(away)
        time.sleep(self._seconds() / 2)
        if is_killed:
            self._house.stop(signal.SIGKILL)
            self._house.launch()
        time.sleep(self._seconds() / 2)
        if is_whole and is_killed:  # where a root is only not mounted, it has begun a new one
            self._house.stop(signal.SIGKILL)
        if is_whole:
            merge_into(away / "jobs", self._root / "jobs")
            for path in self._root.iterdir():
                remove(path) if path.is_dir() else path.unlink()
            move_mount(away, self._root)
        else:
            bring_back(away, self._root / "jobs")
        if not self._house.is_up:
            self._scene.start()
        self._house.wait(self._house.answers, "the daemon after the root was put back")
        return True

    # The store

    def keep_store(self) -> None:
        """Copy the store, as a backup does."""
        copy_store(self._house, self.copy)

    def put_old_store(self) -> bool:
        """Kill the daemon, and start it with the copy."""
        self._scene.undo(everything=True)  # who restores the store does so where the directories are
        with ReadStore.open(self.copy) as copy:
            known = {job.name for job in copy.jobs()}
        self._scene.note(Act.OLD_STORE, self._scene.names)
        removed = {name for name, acts in self._scene.done_to.items() if Act.DIRECTORY_REMOVED in acts}
        self._scene.lost |= removed - known
        put_back(self._house, self.copy)
        return True

    # Mounts

    def hang_mount(self) -> bool:
        """Drop a file whose data or checkpoint is on a mount that does not answer; after a while that is taken away.

        What lies below it then may be what the file names, or nothing.
        """
        place = self._aside / f"mount{len(self._scene.names)}"
        place.mkdir()
        text = CONFIG.format(data=place, devices="[0,2)")
        keep = self._scene.chance.choice(("base.ckpt", "train.json"))
        text = text.replace(str(place / keep), str(self._house.data / keep))
        if self._scene.chance.random() < 0.5:
            shutil.copytree(self._house.data, place, dirs_exist_ok=True)
        mount = DeadMount(place, self._scene.chance.choice(list(Dead)))
        name = self._scene.drop("hung", text)
        self._scene.note(Act.HUNG_MOUNT, [name])
        self._scene.hung.add(name)
        self._scene.later(2 * self._seconds(), partial(self._end_mount, mount, name))
        return True

    def _end_mount(self, mount: DeadMount, name: str) -> None:
        mount.close()
        self._scene.hung.discard(name)

    def _seconds(self) -> float:
        return self._scene.chance.uniform(*AWAY)


def name_of(directory: Path) -> str:
    """Return the name of the job that has this directory."""
    return directory.name.partition("-")[2]


def move_mount(one: Path, other: Path) -> None:
    """Let what is mounted at `one` be mounted at `other`."""
    subprocess.run(["mount", "--move", one, other], check=True)  # noqa: S607 - wherever it is


def remove(directory: Path) -> None:
    """Remove a directory in which others may be writing."""
    while directory.exists():
        with suppress(OSError):
            shutil.rmtree(directory)


def bring_back(away: Path, there: Path) -> None:
    """Move `away` back to where it was, with what was written there meanwhile."""
    while away.exists():
        merge_into(away, there)
        with suppress(OSError):
            there.rmdir()
        with suppress(OSError):  # again somebody has made it meanwhile
            away.rename(there)


def merge_into(kept: Path, made: Path) -> None:
    """Move what is new below `made`, which somebody made meanwhile, to its place below `kept`, and remove the rest."""
    for path in sorted(made.rglob("*"), reverse=True):
        target = kept / path.relative_to(made)
        with suppress(OSError):  # it is being written to
            if path.is_dir():
                path.rmdir()
            elif target.exists():
                path.unlink()
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
