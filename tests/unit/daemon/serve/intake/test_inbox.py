"""Promises of daemon.serve.intake.inbox."""

import os
import socket
from pathlib import Path

import pytest
import structlog

from daemon.serve.intake import inbox as inbox_module
from daemon.serve.intake.claims import claim, read_claimed
from daemon.serve.intake.inbox import Inbox
from daemon.serve.watch.kind import Kind


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return an empty inbox directory."""
    directory = tmp_path / "inbox"
    directory.mkdir()
    return directory


@pytest.fixture
def inbox(directory: Path) -> Inbox:
    """Return an inbox whose files settle within a second."""
    return Inbox(directory, 1)


def scan(inbox: Inbox, now: float) -> None:
    """Look at everything."""
    inbox.start_scan()
    while inbox.scan(now):
        pass


def names(paths: list[Path]) -> list[str]:
    """Return the sorted names of `paths`."""
    return sorted(path.name for path in paths)


def test_a_file_that_the_watch_never_reported_is_claimed_all_the_same(directory: Path, inbox: Inbox) -> None:
    """Whatever event is lost: the scan looks, and the file settles as any other."""
    (directory / "a.yaml").write_text("a: 1")
    scan(inbox, 0)
    assert inbox.settled(0.9) == []
    (path,) = inbox.settled(1)
    claimed = claim(path, directory.parent / "claims")
    assert claimed is not None
    assert read_claimed(claimed, 100) == b"a: 1"


def test_a_file_is_returned_once(directory: Path, inbox: Inbox) -> None:
    """But if it stays, the next scan finds it again: a claim that failed is tried again."""
    (directory / "a.yaml").write_text("a: 1")
    scan(inbox, 0)
    assert inbox.settled(1) == [directory / "a.yaml"]
    assert inbox.settled(1) == []
    assert inbox.next_due(1) is None
    scan(inbox, 60)
    assert inbox.settled(61) == [directory / "a.yaml"]


def test_unfinished_files_are_not_followed(directory: Path, inbox: Inbox) -> None:
    """Neither when found nor when reported."""
    for name in (".a.yaml.swp", "a.yaml~", "a.yaml.part"):
        (directory / name).touch()
        inbox.notice(directory / name, Kind.CLOSED, 0)
    scan(inbox, 0)
    assert len(inbox) == 0


def test_a_notice_from_elsewhere_is_passed_over(directory: Path, inbox: Inbox) -> None:
    """The watch also reports other directories, files in subdirectories, and the inbox itself."""
    (directory / "sub").mkdir()
    (directory / "sub" / "a.yaml").touch()
    (directory / "a.yaml").touch()
    for path in (directory / "sub" / "a.yaml", directory, directory.parent):
        inbox.notice(path, Kind.CLOSED, 0)
    assert len(inbox) == 0


def test_an_open_file_is_waited_for(directory: Path, inbox: Inbox) -> None:
    """A slow writer may pause as long as it keeps the file open."""
    path = directory / "a.yaml"
    with path.open("w") as stream:
        for kind in (Kind.CREATED, Kind.OPENED):
            inbox.notice(path, kind, 0)
        stream.write("half")
        stream.flush()
        inbox.notice(path, Kind.MODIFIED, 1)
        assert inbox.settled(30) == []
    inbox.notice(path, Kind.CLOSED, 30)
    assert inbox.settled(31) == [path]


def test_a_change_that_nobody_reported_is_seen_before_the_file_is_returned(directory: Path, inbox: Inbox) -> None:
    """The facts are looked at a last time; a file that grew meanwhile settles anew."""
    path = directory / "a.yaml"
    path.write_text("half")
    inbox.notice(path, Kind.CLOSED, 0)
    path.write_text("a whole file")
    assert inbox.settled(1) == []
    assert inbox.settled(2) == [path]


def test_a_file_replaced_while_it_settles_starts_anew(directory: Path, inbox: Inbox) -> None:
    """By rename, with the same size and mtime: another inode is another file."""
    path, other = directory / "a.yaml", directory / ".new"
    for each in (path, other):
        each.write_text("same")
        os.utime(each, ns=(0, 0))
    inbox.notice(path, Kind.CLOSED, 0)
    other.rename(path)
    assert inbox.settled(1) == []
    assert inbox.settled(2) == [path]


def test_a_file_that_vanishes_while_it_settles_is_forgotten(directory: Path, inbox: Inbox) -> None:
    """With or without a word from the watch."""
    path = directory / "a.yaml"
    path.touch()
    inbox.notice(path, Kind.CLOSED, 0)
    path.unlink()
    with structlog.testing.capture_logs() as logs:
        assert inbox.settled(1) == []
        assert len(inbox) == 0
        inbox.notice(path, Kind.CLOSED, 2)
        assert len(inbox) == 0
    assert logs == []  # it is every claim's fate to have its last events read afterwards


def test_what_is_no_file_settles_too(directory: Path, inbox: Inbox) -> None:
    """A FIFO, a socket, a directory, a symbolic link to nothing: returned, to be rejected aloud; none is opened."""
    os.mkfifo(directory / "fifo")
    (directory / "directory").mkdir()
    (directory / "link").symlink_to("/nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(directory / "socket"))
    scan(inbox, 0)
    assert names(inbox.settled(1)) == ["directory", "fifo", "link", "socket"]


def test_odd_names_are_files_like_any_other(directory: Path, inbox: Inbox) -> None:
    """Newlines, undecodable bytes, 255 of them, escapes."""
    odd = {b"a\nb", b"caf\xe9.yaml", b"x" * 255, b"\x1b[31m", b"-rf", b"$(reboot)"}
    for name in odd:
        Path(os.fsdecode(os.path.join(os.fsencode(directory), name))).touch()  # noqa: PTH118 - bytes
    scan(inbox, 0)
    assert {os.fsencode(path.name) for path in inbox.settled(1)} == odd


def test_a_call_does_a_bounded_amount_of_work(directory: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is dropped, the loop gets its turn; nothing is lost between the turns, nothing comes twice."""
    monkeypatch.setattr(inbox_module, "SCAN_LIMIT", 10)
    monkeypatch.setattr(inbox_module, "TAKE_LIMIT", 7)
    expected = {directory / f"{number}.yaml" for number in range(25)}
    for path in expected:
        path.touch()
    inbox.start_scan()
    assert [inbox.scan(0) for _ in range(3)] == [True, True, False]
    assert len(inbox) == 25
    turns = [inbox.settled(1) for _ in range(5)]
    assert [len(turn) for turn in turns] == [7, 7, 7, 4, 0]
    assert {path for turn in turns for path in turn} == expected


def test_what_cannot_be_claimed_is_left_alone_until_it_changes(directory: Path, inbox: Inbox) -> None:
    """It was reported once; reporting it with every scan would bury everything else."""
    path = directory / "a.yaml"
    path.touch()
    scan(inbox, 0)
    (stuck,) = inbox.settled(1)
    inbox.leave_alone(stuck)
    scan(inbox, 60)
    assert inbox.settled(70) == []
    path.write_text("changed")
    scan(inbox, 120)
    assert inbox.settled(121) == [path]


def test_a_missing_inbox_does_not_end_the_daemon(directory: Path, inbox: Inbox) -> None:
    """Somebody removed it: said in the log; when it is there again, so are its files."""
    directory.rmdir()
    scan(inbox, 0)
    assert inbox.settled(1) == []
    directory.mkdir()
    (directory / "a.yaml").touch()
    scan(inbox, 60)
    assert inbox.settled(61) == [directory / "a.yaml"]
