"""Wherever a backup fails or is killed: under its name is a whole one, or nothing is."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from daemon.client.backup.checking import check
from daemon.client.backup.making import back_up, clear_up
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.audit import check_state
from tests.faults.injection import NUMBERS, Call, Injection
from tests.faults.test_daemon_faults import named
from tests.unit.daemon.client.backup.conftest import promote
from tests.unit.daemon.face.audit.conftest import DONE, Place

MADE = (Call.OPEN, Call.WRITE, Call.FSYNC, Call.RENAME, Call.UNLINK, Call.MKDIR, Call.LINK)
"""What a backup does."""
CASES = [(call, number) for call in MADE for number in NUMBERS[call]]


def furnish(path: Path) -> Root:
    """Make a root with something of each kind, and where its backups go."""
    place = Place(path / "root")
    promote(place, place.job(*DONE))
    place.job(State.PREPARING, State.FAILED)
    (place.root.inbox / "night.yaml").write_text("waits")
    place.claim("run.yaml")
    place.close()
    (path / "to").mkdir()
    return place.root


def whole_ones(to: Path) -> list[Path]:
    """Return the backups that have their name; each has to be whole."""
    found = sorted(to.glob("glmd-backup-*"))
    assert all(check(path, deep=True).problems == () for path in found)
    return found


@pytest.mark.parametrize(("call", "number"), CASES, ids=named)
def test_one_call_fails(quick: Path, call: Call, number: int) -> None:
    """The first, the second, … until none is left to fail: the error comes out; nothing is left, or all is there."""
    root, to = furnish(quick), quick / "to"
    for first in count(1):
        injection = Injection(call, number, first, to)
        with pytest.MonkeyPatch.context() as patch:
            injection.install(patch)
            injection.is_armed = True
            try:
                _, record = back_up(root, None, to, lambda *_: None)
            except OSError as error:
                assert error.errno == number  # noqa: PT017 - the very one
                is_made = False
            else:
                is_made = True
            injection.is_armed = False
        if is_made:
            assert record.lacks == ()
        for path in whole_ones(to):
            shutil.rmtree(path)
        list(clear_up(to))
        assert list(to.iterdir()) == []
        if not injection.fired:
            break
    assert is_made
    assert first > 1, "the fault hit nothing: the injection is not where the calls are"
    assert [one for one in check_state(root) if one.kind != "claim-left"] == []


KILLED = """
import os, signal, sys
from pathlib import Path
from daemon.client.backup.making import back_up
from daemon.core.root import Root

root, to, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
calls = 0

def dying(real):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

for name in ("fsync", "rename", "link", "unlink", "mkdir", "symlink", "utime", "chmod"):
    setattr(os, name, dying(getattr(os, name)))
back_up(Root(root), None, to, lambda *_: None)
"""


def test_it_is_killed_before_each_call(quick: Path) -> None:
    """Before its name nothing is there but what the next one removes; behind it all is."""
    root, to = furnish(quick), quick / "to"
    kills = had_name = 0
    for last in _every_few(1, 7):
        done = subprocess.run([sys.executable, "-c", KILLED, root.path, to, str(last)], check=False, cwd=Path.cwd())
        assert done.returncode in {0, -signal.SIGKILL}
        found = whole_ones(to)
        had_name += len(found)
        for path in found:
            shutil.rmtree(path)
        list(clear_up(to))
        for left in to.iterdir():  # killed before it held its lock: young, so that it may still be begun
            os.utime(left, (0, 0))
        list(clear_up(to))
        assert list(to.iterdir()) == []
        if done.returncode == 0:
            break
        kills += 1
    assert kills > 5
    assert had_name >= 1
    assert [one for one in check_state(root) if one.kind != "claim-left"] == []


def _every_few(first: int, step: int) -> Iterator[int]:
    """Yield the first calls one by one, and of the many that follow some."""
    yield from range(first, first + step)
    yield from count(first + step, step)


def test_it_is_killed_around_its_name(quick: Path) -> None:
    """The last calls one by one: those that give it its name, and what follows."""
    root, to = furnish(quick), quick / "to"
    counting = KILLED.replace("if calls == last:", "if False:") + "\nprint(calls)\n"
    told = subprocess.run([sys.executable, "-c", counting, root.path, to, "0"], check=True, capture_output=True)
    calls = int(told.stdout)
    shutil.rmtree(to)
    to.mkdir()
    with_name = []
    for last in range(calls - 6, calls + 1):
        done = subprocess.run([sys.executable, "-c", KILLED, root.path, to, str(last)], check=False)
        assert done.returncode == -signal.SIGKILL
        with_name.append(bool(whole_ones(to)))
        shutil.rmtree(to)
        to.mkdir()
    assert with_name == sorted(with_name), "once it has its name it keeps it"
    assert {False, True} == set(with_name)


@pytest.mark.root
@pytest.mark.parametrize("size", ("64k", "160k", "300k"))
def test_a_full_disk_leaves_nothing(tmp_path: Path, size: str) -> None:
    """The store does not fit, or records, or the output: exit code 1, and what to do."""
    root = furnish(tmp_path)
    (root.jobs / "0002-run" / "output" / "log").mkdir(parents=True)
    (root.jobs / "0002-run" / "output" / "log" / "long").write_bytes(b"x" * 500_000)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "daemon.cli", "backup", "--root", root.path, "--to", disk],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, list(disk.iterdir())) == (1, []), done.stderr
        assert "[host.disk-full]" in done.stderr
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.root
def test_another_disk_gets_copies(tmp_path: Path) -> None:
    """They are whole, and share nothing with the root."""
    root = furnish(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], check=True)
    try:
        path, record = back_up(root, None, disk, lambda *_: None)
        assert [output.linked for output in record.outputs] == [False] * len(record.outputs)
        assert check(path, deep=True).problems == ()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
