"""Promises of daemon.core.root: who may change what lies there, whatever the umask and whatever an older glmd made."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.root import GROUP_DROPS, GROUP_READS, ForeignDirectoryError, Root
from daemon.core.store import Store
from daemon.serve.loop.singleton import only_daemon


@pytest.fixture(params=(0o000, 0o022, 0o077))
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Let this process have a umask."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    """Return the mode of `path`."""
    return stat.S_IMODE(path.stat().st_mode)


def closed_to_the_group(root: Root) -> None:
    """Assert that members can read all and change nothing, but for the inbox."""
    for directory in (root.claims, root.rejected, root.jobs, root.latest):
        assert mode(directory) == GROUP_READS, directory
    assert mode(root.inbox) == GROUP_DROPS


def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    """Neither of directories nor of the store; the umask is as it was afterwards."""
    root = Root(tmp_path / "root")
    root.create()
    closed_to_the_group(root)
    assert mode(root.path) & 0o777 == 0o750
    with only_daemon(root.lock), Store.open(root.store):
        assert mode(root.lock) & 0o077 == 0
        assert [mode(path) for path in sorted(root.path.glob("glmd.db*"))] == [0o640] * 3
    assert os.umask(umask) == umask


def test_a_root_of_before_is_brought_over(tmp_path: Path) -> None:
    """Its group could write everywhere; the files in it stay where they are."""
    root = Root(tmp_path / "root")
    for directory in (root.path, root.inbox, root.claims, root.rejected, root.jobs, root.latest):
        directory.mkdir()
        directory.chmod(0o2770)
    (root.inbox / "run.yaml").write_text("waits")
    Store.open(root.store).close()
    root.store.chmod(0o660)
    root.create()
    closed_to_the_group(root)
    assert mode(root.path) == GROUP_READS
    with Store.open(root.store):
        assert mode(root.store) == 0o640
    assert (root.inbox / "run.yaml").read_text() == "waits"


def test_a_root_that_its_owner_keeps_to_himself_stays_so(tmp_path: Path) -> None:
    """Nothing is opened to a group that could not look in before."""
    tmp_path.chmod(0o700)
    Root(tmp_path).create()
    assert mode(tmp_path) == 0o700


def test_where_setgid_may_not_be_asked_for_the_group_is_kept_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RestrictSUIDSGID= of our units: an inbox that has setgid keeps it, for glmd has to read what is dropped."""
    root = Root(tmp_path / "root")
    for directory in (root.path, root.inbox, root.jobs):
        directory.mkdir()
        directory.chmod(0o2770)
    real = os.chmod

    def restricted(path: Path, mode: int, **options: bool) -> None:
        if mode & stat.S_ISGID:
            raise PermissionError(1, "Operation not permitted", str(path))
        real(path, mode, **options)

    monkeypatch.setattr(os, "chmod", restricted)
    root.create()
    assert (mode(root.path), mode(root.jobs), mode(root.inbox)) == (0o750, 0o750, 0o2770)


@pytest.mark.parametrize("name", ("inbox", "claims", "rejected"))
@pytest.mark.parametrize("target", ("elsewhere", "nowhere"))
def test_a_link_in_place_of_a_directory_is_refused(tmp_path: Path, name: str, target: str) -> None:
    """Glmd would move files there that are somebody else's; none is touched, not even its mode."""
    root = Root(tmp_path / "root")
    root.path.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (root.path / name).symlink_to(tmp_path / target)
    with pytest.raises(ForeignDirectoryError, match=f"/{name} is a symbolic link to .*/{target}, .*remove it"):
        root.create()
    assert mode(tmp_path / "elsewhere") == 0o755


@pytest.mark.root
@pytest.mark.parametrize("name", ("inbox", "claims", "rejected"))
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    """Who owns a directory may rename what others drop there."""
    root = Root(tmp_path)
    root.create()
    os.chown(tmp_path / name, 12345, -1)
    with pytest.raises(ForeignDirectoryError, match=f"/{name} belongs to 12345, and glmd runs as root: .*chown root"):
        root.create()
