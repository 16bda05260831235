"""Paths are touched mount by mount, each mount after its guard was asked."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.host import reach as reach_module
from handlers.host.reach import DoesNotAnswerError, reach, set_guard


class Recorder:
    """Writes down what is entered and left, and refuses what it is told to."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.refused = ""

    @contextlib.contextmanager
    def entering(self, mount: str, path: Path) -> Iterator[None]:
        """Take note of a mount."""
        if mount == self.refused:
            raise DoesNotAnswerError(path, "it sleeps")
        self.seen.append(f"in {mount}")
        yield
        self.seen.append(f"out {mount}")


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Guard this process, to which tmp_path/a and tmp_path/b are mounts."""
    before, recorder = reach_module._guard, Recorder()
    mountinfo = tmp_path / "mountinfo"
    lines = (f"{number} 0 0:1 / {tmp_path}/{name} rw - tmpfs t rw\n" for number, name in ((7, "a"), (8, "b")))
    mountinfo.write_text("1 0 0:1 / / rw - ext4 t rw\n" + "".join(lines))
    monkeypatch.setattr(reach_module, "MOUNTINFO", mountinfo)
    for name in "ab":
        (tmp_path / name / "deep").mkdir(parents=True)
    set_guard(recorder)
    yield recorder
    set_guard(before)


def test_the_guard_is_asked_before_a_mount_and_told_when_it_is_left(guard: Recorder, tmp_path: Path) -> None:
    """All below the mount counts as within it."""
    reach(tmp_path / "a" / "deep" / "missing")
    assert guard.seen == [f"in 7 {tmp_path}/a", f"out 7 {tmp_path}/a"]


def test_links_are_followed_to_the_mounts_they_lead_to(guard: Recorder, tmp_path: Path) -> None:
    """A mount behind a link is that mount, not the one that the link is on."""
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b" / "deep")
    (tmp_path / "relative").symlink_to("a/../a/link")
    reach(tmp_path / "relative")
    assert guard.seen[-2:] == [f"in 8 {tmp_path}/b", f"out 8 {tmp_path}/b"]


def test_what_is_refused_is_raised_and_not_touched(guard: Recorder, tmp_path: Path) -> None:
    """Whoever asks gets the path that was asked for."""
    guard.refused = f"8 {tmp_path}/b"
    with pytest.raises(DoesNotAnswerError, match="it sleeps") as raised:
        reach(tmp_path / "b" / "deep")
    assert raised.value.filename == str(tmp_path / "b" / "deep")


def test_a_path_that_no_kernel_takes_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dropped file may hold one of its whole size; the kernel takes none of more than 4096 bytes."""
    monkeypatch.setattr(reach_module, "_target", lambda _: pytest.fail("walked"))
    reach("/a" * 1_000_000)


@pytest.mark.parametrize("path", ("/" + "x" * 300, "/a\0b", "/" + "../" * 1000, "/\ud800"))
def test_what_is_no_path_is_for_the_caller_to_find(path: str) -> None:
    """It is touched as far as that goes."""
    reach(path)


def test_links_in_a_circle_end(guard: Recorder, tmp_path: Path) -> None:
    """As the kernel gives up."""
    (tmp_path / "loop").symlink_to("loop")
    reach(tmp_path / "loop")
    assert guard.seen == []
