"""Promises of daemon.serve.owning: one host serves a root, and its store is where the settings say."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from daemon.core import store_place
from daemon.core.owner import ElsewhereError, Owner, read_owner
from daemon.core.root import Root
from daemon.core.settings import Settings, SettingsError
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.store_place import root_of
from daemon.serve.loop.singleton import AlreadyRunningError, LockLostError
from daemon.serve.owning import BEAT, SILENCE, Owning, refuse_unfit


@dataclass
class Time:
    """A clock that sleeping moves, and what happens meanwhile."""

    now: float = 100.0
    happens: Callable[[], None] = field(default=lambda: None)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.happens()

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root whose store is elsewhere on this host."""
    (tmp_path / "root").mkdir()
    return Root(tmp_path / "root", tmp_path / "kept")


def other(root: Root, host: str = "login1", **more: object) -> Owner:
    """Let another daemon have the root."""
    owner = replace(Owner.now(root.kept), host=host, boot_id="another", pid=7, **more)  # type: ignore[arg-type] # a test's own
    root.owner.write_bytes(owner.content())
    return owner


def said(root: Root) -> Owner:
    """Return what glmd.owner says."""
    owner = read_owner(root.path)
    assert owner is not None
    return owner


def test_a_root_that_has_its_store_needs_no_owner(tmp_path: Path) -> None:
    """Nothing is written, and nothing wakes the daemon."""
    mine = Owning(root_of(Settings(root=tmp_path)))
    mine.refuse_another()
    mine.take()
    mine.keep()
    mine.stop()
    assert mine.seconds_left() is None
    assert list(tmp_path.iterdir()) == []


def test_the_daemon_shows_that_it_lives(root: Root) -> None:
    """By a number that grows, every few seconds, though somebody removes or spoils the file; in the end it says so."""
    time = Time()
    mine = Owning(root, time)
    mine.refuse_another(time.sleep)
    mine.take()
    assert mine.seconds_left() == BEAT
    for passed, seq in ((0.0, 1), (BEAT - 1, 1), (1, 2)):
        time.now += passed
        mine.keep()
        assert said(root).seq == seq
    root.owner.unlink()
    mine.keep()
    root.owner.write_text("{")
    mine.keep()
    assert said(root).store == root.kept
    mine.stop()
    assert (said(root).stopped, said(root).seq) == (True, 5)


def test_a_daemon_of_another_host_that_lives_is_not_joined(root: Root) -> None:
    """It is found to live by its next sign; and its file is left as it is."""
    seqs = iter(range(1, 1000))
    time = Time(happens=lambda: None if next(seqs) % 10 else other(root, seq=next(seqs)) and None)
    other(root)
    mine = Owning(root, time)
    with pytest.raises(AlreadyRunningError, match=r"the daemon runs on login1 \(pid 7\); stop it there first"):
        mine.refuse_another(time.sleep)
    assert time.now <= 100 + BEAT + 1
    assert said(root).host == "login1"


@pytest.mark.parametrize("stopped", (False, True))
def test_a_store_that_was_copied_here_is_served_here(root: Root, *, stopped: bool) -> None:
    """After the other daemon has said that it ended, at once; else when it has given no sign for long."""
    other(root, stopped=stopped)
    root.kept.mkdir()
    root.store.touch()
    time = Time()
    mine = Owning(root, time)
    mine.refuse_another(time.sleep)
    assert time.now == 100 + (0 if stopped else SILENCE)
    mine.take()
    assert read_owner(root.path) == replace(Owner.now(root.kept), seq=1)


def test_without_its_store_no_host_takes_over(root: Root) -> None:
    """It would know no job; who wants that removes the file."""
    other(root, stopped=True)
    with pytest.raises(
        ElsewhereError, match=r"login1 served it last, and its store is there .* Start glmd there; or copy"
    ):
        Owning(root).refuse_another()
    root.owner.unlink()
    Owning(root).refuse_another()


def test_after_a_crash_the_same_host_waits_for_nobody(root: Root) -> None:
    """There the kernel's lock tells."""
    root.owner.write_bytes(replace(Owner.now(root.kept), pid=7).content())
    Owning(root).refuse_another(lambda _: pytest.fail("waited"))


def test_who_has_lost_the_root_ends(root: Root) -> None:
    """A daemon that was frozen while another host's took over; what that says of itself stays."""
    mine = Owning(root)
    mine.refuse_another()
    mine.take()
    theirs = other(root, host="login2")
    with pytest.raises(LockLostError, match=r"a daemon on login2 \(pid 7\) serves this root now"):
        mine.keep()
    mine.stop()
    assert read_owner(root.path) == theirs


@pytest.mark.parametrize("to_root", (False, True))
def test_a_store_in_the_wrong_place_is_not_passed_over(tmp_path: Path, *, to_root: bool) -> None:
    """An empty one would be made else. Once it is moved as the message says, all is well, and others find it."""
    place, kept = tmp_path / "root", tmp_path / "kept"
    for directory in (place, kept):
        directory.mkdir()
    was, wanted = (kept, place) if to_root else (place, kept)
    if to_root:
        (place / "glmd.owner").write_bytes(Owner.now(kept).content())
    (was / "glmd.db").touch()
    settings = Settings(root=place, store=None if to_root else kept)
    with pytest.raises(SettingsError) as raised:
        Owning(root_of(settings)).refuse_another()
    assert str(raised.value) == (
        f"store: it is to be in {wanted}, and is in {was}: stop glmd; mv {was}/glmd.db* {wanted}/"
    )  # fmt: skip
    (was / "glmd.db").rename(wanted / "glmd.db")
    mine = Owning(root_of(settings))
    mine.refuse_another()
    mine.take()
    assert Root(place).store == wanted / "glmd.db"


def test_two_stores_are_both_named(root: Root) -> None:
    """None is overwritten by the command that is given."""
    root.kept.mkdir()
    for place in (root.path, root.kept):
        (place / "glmd.db").touch()
    with pytest.raises(SettingsError, match=r"move away .*kept/glmd\.db, which is there, too; then mv "):
        Owning(root).refuse_another()


def test_a_directory_has_the_store_of_one_root(root: Root, tmp_path: Path) -> None:
    """`--root` beside the site's settings must not let glmd take the site's store for another root's."""
    Owning(root).refuse_another()
    with pytest.raises(SettingsError, match=f"belongs to the root '{root.path}', and this one is {tmp_path}"):
        Owning(Root(tmp_path, root.kept)).refuse_another()
    Owning(root).refuse_another()


def test_slurm_and_a_store_on_a_network_file_system_do_not_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Slurm it is left as it was, and so is a root of this host: a cluster of one host may use it."""
    on_nfs = tmp_path / "nfs"
    monkeypatch.setattr(store_place, "network_file_system", lambda path: "nfs4" if path == on_nfs else None)
    slurm = SlurmSettings()
    with pytest.raises(SettingsError, match=r"nfs is on nfs4, where SQLite's WAL .* as store: /var/lib/glmd"):
        refuse_unfit((bad := Settings(root=on_nfs, slurm=slurm)), root_of(bad))
    for good in (
        Settings(root=on_nfs),
        Settings(root=on_nfs, slurm=slurm, store=tmp_path / "kept"),
        Settings(root=tmp_path, slurm=slurm),
    ):
        refuse_unfit(good, root_of(good))
