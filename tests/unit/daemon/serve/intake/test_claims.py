"""Promises of daemon.serve.intake.claims."""

import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.core.names import REASON, reason_file
from daemon.serve.intake.claims import (
    ChangedError,
    Claim,
    NotAFileError,
    NotClaimableError,
    TooLargeError,
    UnreadableError,
    add_to_reason,
    claim,
    discard,
    leftover_claims,
    newest_rejected,
    next_place,
    read_claimed,
    reject,
    snapshot,
)
from handlers.errors import BadInputError

MAX = 1000
NOBODY = 65534
ODD_NAMES = (
    b"a\nb.yaml",
    b"caf\xe9.yaml",
    b"x" * 255,
    "ü".encode() * 127,
    b"\x1b[31mred",
    b"-rf",
    b"$(reboot)",
    b"a b",
)


class Root:
    """A root directory with the three directories that claims go through."""

    def __init__(self, path: Path) -> None:
        self.inbox, self.claims, self.rejected = (path / name for name in ("inbox", "claims", "rejected"))
        for directory in (self.inbox, self.claims, self.rejected):
            directory.mkdir()

    def drop(self, name: str = "a.yaml", content: bytes = b"a: 1\n") -> Path:
        """Put a file into the inbox."""
        path = self.inbox / name
        path.write_bytes(content)
        return path

    def claim(self, path: Path) -> Claim:
        """Claim what is known to be there."""
        claimed = claim(path, self.claims)
        assert claimed is not None
        return claimed


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return an empty root."""
    return Root(tmp_path)


@pytest.fixture
def plain_user() -> Iterator[Root]:
    """Return the root of a user whom permissions bind, which they do not root."""
    with tempfile.TemporaryDirectory() as directory:
        user = os.geteuid()
        if user == 0:
            os.chown(directory, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Root(Path(directory))
        finally:
            os.seteuid(user)


def listing(directory: Path) -> list[str]:
    """Return the sorted names in `directory`."""
    return sorted(path.name for path in directory.iterdir())


def test_a_claimed_file_is_out_of_the_inbox_and_whole(root: Root) -> None:
    """Same inode: it was renamed, not copied; the token is in the path and the name is as dropped."""
    path = root.drop()
    inode = path.stat().st_ino
    claimed = root.claim(path)
    assert claimed == Claim(claimed.token, "a.yaml", root.claims / claimed.token / "a.yaml")
    assert claimed.path.stat().st_ino == inode
    assert listing(root.inbox) == []
    assert read_claimed(claimed, MAX) == b"a: 1\n"


def test_the_same_name_can_be_claimed_again_at_once(root: Root) -> None:
    """Two drops, two claims, two contents."""
    first = root.claim(root.drop(content=b"1"))
    second = root.claim(root.drop(content=b"2"))
    assert first.token != second.token
    assert (read_claimed(first, MAX), read_claimed(second, MAX)) == (b"1", b"2")


def test_a_file_that_vanished_is_no_claim(root: Root) -> None:
    """Its owner took it back in time; nothing is left behind."""
    assert claim(root.inbox / "gone.yaml", root.claims) is None
    assert listing(root.claims) == []


@pytest.mark.parametrize("raw", ODD_NAMES)
def test_odd_names_pass_through_every_step(root: Root, raw: bytes) -> None:
    """255 bytes, newlines, undecodable bytes: claimed, found after a crash, read, and rejected under that name."""
    name = os.fsdecode(raw)
    claimed = root.claim(root.drop(name))
    assert leftover_claims(root.claims) == (claimed,)
    assert read_claimed(claimed, MAX) == b"a: 1\n"
    target = reject(claimed, root.rejected, "because")
    assert target == root.rejected / name
    assert reason_file(target).read_text() == "because\n"


def test_an_error_shows_a_name_without_its_power(root: Root) -> None:
    """Terminal escapes in a name reach neither a log nor a reason file."""
    claimed = root.claim(root.drop("\x1b[31m\nred.yaml", b"x" * (MAX + 1)))
    with pytest.raises(TooLargeError, match=r"^\\x1b\[31m\\nred\.yaml: 1001 bytes; .* 1000 ") as caught:
        read_claimed(claimed, MAX)
    target = reject(claimed, root.rejected, f"{caught.value}\n\x1b]0;title\x07\tend\n")
    assert "\x1b" not in reason_file(target).read_text()


def make_fifo(path: Path) -> None:
    """Make a FIFO that nobody writes to."""
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    """Make a socket that nobody listens on."""
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)


def make_link(path: Path) -> None:
    """Make a symbolic link to a readable file."""
    path.symlink_to("/etc/hostname")


def make_dangling_link(path: Path) -> None:
    """Make a symbolic link to nothing."""
    path.symlink_to("/nowhere")


def make_directory(path: Path) -> None:
    """Make a directory that is not empty."""
    path.mkdir()
    (path / "a.yaml").write_text("a: 1")


NOT_FILES = (
    (make_fifo, "a FIFO", stat.S_ISFIFO),
    (make_socket, "a socket", stat.S_ISSOCK),
    (make_link, "a symbolic link", stat.S_ISLNK),
    (make_dangling_link, "a symbolic link", stat.S_ISLNK),
    (make_directory, "a directory", stat.S_ISDIR),
)


@pytest.mark.parametrize(("make", "kind", "is_kind"), NOT_FILES)
def test_what_is_no_file_is_named_and_rejected_as_it_is(
    root: Root, make: Callable[[Path], None], kind: str, is_kind: Callable[[int], bool]
) -> None:
    """Never followed, never waited for, never opened beyond telling what it is; it lies in rejected/ unchanged."""
    path = root.inbox / "a.yaml"
    make(path)
    claimed = root.claim(path)
    with pytest.raises(NotAFileError, match=f"^a.yaml: {kind}, not a regular file"):
        read_claimed(claimed, MAX)
    target = reject(claimed, root.rejected, "no file")
    assert is_kind(target.lstat().st_mode)
    assert listing(root.rejected) == ["a.yaml", "a.yaml.reason.txt"]
    assert listing(root.claims) == []


def test_a_file_of_the_largest_size_is_read(root: Root) -> None:
    """The limit itself is allowed, and so is nothing: an empty file is for the validation to judge."""
    assert len(read_claimed(root.claim(root.drop(content=b"x" * MAX)), MAX)) == MAX
    assert read_claimed(root.claim(root.drop(content=b"")), MAX) == b""


def test_a_huge_file_is_refused_without_reading_it(root: Root) -> None:
    """A terabyte of nothing, refused by its size."""
    path = root.drop()
    os.truncate(path, 1 << 40)
    with pytest.raises(TooLargeError, match="1099511627776 bytes"):
        read_claimed(root.claim(path), MAX)


def test_an_unreadable_file_says_what_to_type(plain_user: Root) -> None:
    """The remedy is in the message."""
    path = plain_user.drop()
    path.chmod(0)
    with pytest.raises(UnreadableError, match=r"chmod g\+r a\.yaml"):
        read_claimed(plain_user.claim(path), MAX)


def test_a_directory_that_may_not_be_moved_stays_and_is_named(plain_user: Root) -> None:
    """A rename changes a directory itself, which its mode may forbid; nothing is left in claims/."""
    path = plain_user.inbox / "locked"
    path.mkdir(mode=0o555)
    with pytest.raises(NotClaimableError, match=r"^locked: glmd may not move it out of"):
        claim(path, plain_user.claims)
    assert listing(plain_user.inbox) == ["locked"]
    assert listing(plain_user.claims) == []


def test_claims_on_another_file_system_are_refused_with_the_remedy(root: Root) -> None:
    """A copy would not be a claim: two could make it, and a crash could leave half of it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        with pytest.raises(NotClaimableError, match="different file systems"):
            claim(root.drop(), Path(elsewhere))
        assert listing(Path(elsewhere)) == []
    assert listing(root.inbox) == ["a.yaml"]


@pytest.mark.parametrize("write", (lambda path: path.write_bytes(b"a: 2\n"), lambda path: os.truncate(path, 2)))
def test_a_file_that_is_written_while_it_is_read_is_refused(
    root: Root, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    """Half of the old and half of the new would be neither."""
    claimed = root.claim(root.drop())
    os.utime(claimed.path, ns=(0, 0))
    fstat = os.fstat

    def fstat_then_write(descriptor: int) -> os.stat_result:
        """Let the writer in right after the first look."""
        monkeypatch.undo()
        status = fstat(descriptor)
        write(claimed.path)
        return status

    monkeypatch.setattr(os, "fstat", fstat_then_write)
    with pytest.raises(ChangedError, match="somebody wrote into it"):
        read_claimed(claimed, MAX)


def test_a_file_that_shrank_behind_a_cache_is_refused(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """On NFS, fstat may answer from before another host's truncation; then there is less than was promised."""
    claimed = root.claim(root.drop())
    cached = claimed.path.stat()
    os.truncate(claimed.path, 2)
    with monkeypatch.context() as cache:
        cache.setattr(os, "fstat", lambda _: cached)
        with pytest.raises(ChangedError):
            read_claimed(claimed, MAX)


def test_every_reason_to_reject_is_bad_input() -> None:
    """Exit code 2, and one `except` in the daemon."""
    for error in (NotAFileError, TooLargeError, UnreadableError, ChangedError, NotClaimableError):
        assert issubclass(error, BadInputError)


def test_the_snapshot_is_a_copy_that_nobody_else_has_open(root: Root, tmp_path: Path) -> None:
    """Whoever kept the dropped file open, or linked, cannot change what runs."""
    path = root.drop()
    (tmp_path / "link").hardlink_to(path)
    claimed = root.claim(path)
    snapshot(claimed, read_claimed(claimed, MAX), tmp_path / "submitted.yaml")
    (tmp_path / "link").write_bytes(b"evil: 1")
    assert (tmp_path / "submitted.yaml").read_bytes() == b"a: 1\n"
    assert listing(root.claims) == []


def test_a_rejected_file_is_as_dropped_beside_its_reason(root: Root) -> None:
    """Bytes, mode and name; and the reason is text with all its lines."""
    path = root.drop(content=b"\x00\xff")
    path.chmod(0o640)
    target = reject(root.claim(path), root.rejected, "line 1\n  line 2")
    assert target.read_bytes() == b"\x00\xff"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert (root.rejected / "a.yaml.reason.txt").read_text() == "line 1\n  line 2\n"


def test_an_earlier_rejected_file_is_not_overwritten(root: Root) -> None:
    """The third one of a name is NAME.3, and each has its own reason."""
    for number in range(1, 4):
        reject(root.claim(root.drop(content=b"%d" % number)), root.rejected, f"reason {number}")
    for number, name in enumerate(("a.yaml", "a.yaml.2", "a.yaml.3"), start=1):
        assert (root.rejected / name).read_text() == str(number)
        assert (root.rejected / f"{name}.reason.txt").read_text() == f"reason {number}\n"


def test_long_names_find_their_places_too(root: Root) -> None:
    """Two of 255 bytes each, equal up to the last: four different files, all within what a name may have."""
    for name in ("x" * 254 + "1", "x" * 254 + "2", "x" * 254 + "1"):
        target = reject(root.claim(root.drop(name)), root.rejected, name[-1])
        assert reason_file(target).read_text() == f"{name[-1]}\n"
    assert len(listing(root.rejected)) == 6


def test_a_rejected_link_to_nothing_keeps_its_place(root: Root) -> None:
    """It does not exist, as far as most calls tell, and is there all the same."""
    (root.inbox / "a.yaml").symlink_to("/nowhere")
    reject(root.claim(root.inbox / "a.yaml"), root.rejected, "a link")
    reject(root.claim(root.drop()), root.rejected, "a file")
    assert listing(root.rejected) == ["a.yaml", "a.yaml.2", "a.yaml.2.reason.txt", "a.yaml.reason.txt"]


@pytest.mark.parametrize("order", ((0, 1), (1, 0)))
def test_a_file_named_like_a_reason_is_neither_lost_nor_overwritten(root: Root, order: tuple[int, int]) -> None:
    """Somebody drops all of rejected/ into the inbox again."""
    names = ("a.yaml", "a.yaml.reason.txt")
    for index in order:
        target = reject(root.claim(root.drop(names[index], names[index].encode())), root.rejected, "no")
        assert reason_file(target).read_text() == "no\n"
    contents = [path.read_text() for path in root.rejected.iterdir()]
    assert sorted(contents) == ["a.yaml", "a.yaml.reason.txt", "no\n", "no\n"]


def test_a_rejection_that_was_interrupted_is_taken_up_at_the_same_place(root: Root) -> None:
    """The crash came between the reason and the move: no second name, one reason."""
    claimed = root.claim(root.drop())
    (root.rejected / "a.yaml.reason.txt").write_text("written before the crash")
    (again,) = leftover_claims(root.claims)
    assert again == claimed
    reject(again, root.rejected, "because")
    assert listing(root.rejected) == ["a.yaml", "a.yaml.reason.txt"]
    assert (root.rejected / "a.yaml.reason.txt").read_text() == "because\n"


def test_what_a_crash_left_in_claims_is_found_in_order(root: Root) -> None:
    """Oldest first; directories that were not filled yet, or just emptied, are removed; strays are left."""
    claims = [root.claim(root.drop(f"{number}.yaml")) for number in range(5)]
    for number, left in enumerate(claims):
        os.utime(left.path.parent, ns=(0, (7 * number) % 5))
    (root.claims / "0123456789abcdef").mkdir()
    (root.claims / "stray").touch()
    assert [left.name for left in leftover_claims(root.claims)] == [f"{number}.yaml" for number in (0, 3, 1, 4, 2)]
    for left in claims:
        discard(left)
    assert leftover_claims(root.claims) == ()
    assert listing(root.claims) == ["stray"]


def test_what_is_no_claim_of_glmds_is_left_alone(root: Root, tmp_path: Path) -> None:
    """A link, whose files are somebody's own, and what cannot be looked into: neither holds up the others."""
    (tmp_path / "own.yaml").write_text("mine")
    (root.claims / "link").symlink_to(tmp_path)
    (root.inbox / "a.yaml").touch()
    taken = claim(root.inbox / "a.yaml", root.claims)
    assert leftover_claims(root.claims) == (taken,)


def test_finishing_a_claim_twice_does_no_harm(root: Root, tmp_path: Path) -> None:
    """After a crash nobody knows whether it was finished."""
    claimed = root.claim(root.drop())
    snapshot(claimed, b"a: 1\n", tmp_path / "submitted.yaml")
    snapshot(claimed, b"a: 1\n", tmp_path / "submitted.yaml")
    discard(claimed)
    assert (tmp_path / "submitted.yaml").read_bytes() == b"a: 1\n"


def test_the_newest_of_a_name(root: Root) -> None:
    """It is the one with the highest number; the next goes to the number after it."""
    assert newest_rejected(root.rejected, "a.yaml") is None
    for name in ("a.yaml", "a.yaml.2", "a.yaml.3"):
        assert next_place(root.rejected, "a.yaml") == root.rejected / name
        target = reject(root.claim(root.drop()), root.rejected, "no")
        assert newest_rejected(root.rejected, "a.yaml") == target == root.rejected / name
    (root.rejected / f"a.yaml.3{REASON}").unlink()
    assert newest_rejected(root.rejected, "a.yaml") is None


def test_words_are_added_once(root: Root) -> None:
    """However often that is tried; what was said before stays, and nothing of them moves a cursor."""
    target = reject(root.claim(root.drop()), root.rejected, "because")
    for _ in range(2):
        add_to_reason(target, "and \x1b[31mmore\nof it")
    assert reason_file(target).read_text() == "because\nand \\x1b[31mmore\nof it\n"
    assert listing(root.rejected) == ["a.yaml", "a.yaml.reason.txt"]


@pytest.mark.parametrize("make", (make_fifo, make_socket, make_link, make_dangling_link, make_directory))
def test_words_are_added_to_a_file_only(root: Root, make: Callable[[Path], None]) -> None:
    """What somebody put in its place is neither followed, nor waited for, nor replaced."""
    target = reject(root.claim(root.drop()), root.rejected, "because")
    reason_file(target).unlink()
    add_to_reason(target, "more")
    make(reason_file(target))
    kind = reason_file(target).lstat().st_mode
    add_to_reason(target, "more")
    assert reason_file(target).lstat().st_mode == kind
