"""Promises of handlers.shards.closing and handlers.shards.writers: what is still open for writing does not count."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.shards import closing
from handlers.shards.closing import QUIET, Closing
from handlers.shards.writers import Writers, writers_of

OPENS_AND_CLOSES = "import sys\nwhile True: open(sys.argv[1], 'ab').close()"
NOBODY = 65534


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Write a file just now, and leave it writable."""
    path = tmp_path / "glm_rank_0-1_1.ckpt"
    path.write_bytes(b"whole")
    path.chmod(0o644)
    return path


def why(shard: Path, closing: Closing | None = None, *, was_closed: bool = False) -> str:
    """Say why a shard is open."""
    return (closing or Closing()).why_open(shard, shard.stat(), was_closed=was_closed)


def test_the_kernel_knows_who_has_a_file_open(shard: Path) -> None:
    """For writing, that is, in whatever way; readers are nobody."""
    assert writers_of(shard) is Writers.NOBODY
    for mode in ("ab", "r+b", "wb"):
        with shard.open(mode):
            assert writers_of(shard) is Writers.SOMEBODY
    with shard.open("rb"):
        assert writers_of(shard) is Writers.NOBODY
    with pytest.raises(FileNotFoundError):
        writers_of(shard.with_name("gone"))


def test_another_process_is_a_writer_too(shard: Path) -> None:
    """Until it ends, whatever it said."""
    holds = "import sys; stream = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-SE", "-c", holds, shard], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert "is open for writing" in why(shard)
        os.utime(shard, (1.0, 1.0))
        assert "is open for writing" in why(shard), "however long it has rested"
        writer.communicate()
    assert why(shard) == ""


def test_asking_harms_nobody(shard: Path) -> None:
    """Neither who opens the file in that instant, nor the one who asks."""
    with subprocess.Popen([sys.executable, "-SE", "-c", OPENS_AND_CLOSES, shard], stderr=subprocess.PIPE) as writer:
        seen = {writers_of(shard) for _ in range(3000)}
        assert writer.poll() is None
        writer.kill()
        assert writer.stderr is not None
        assert writer.stderr.read() == b""
    assert seen <= {Writers.NOBODY, Writers.SOMEBODY}


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    """Be somebody who owns nothing."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.root
def test_of_another_users_file_a_close_is_believed() -> None:
    """The kernel tells only its owner; as long as it stays as it was then."""
    known = Closing()
    with tempfile.TemporaryDirectory() as directory:
        shard = Path(directory) / "glm_rank_0-1_1.ckpt"
        shard.write_bytes(b"whole")
        Path(directory).chmod(0o755)
        with another_user():
            assert writers_of(shard) is Writers.UNKNOWN
            assert "may still be open" in why(shard, known)
            assert why(shard, known, was_closed=True) == ""
            assert why(shard, known) == ""
        shard.write_bytes(b"written again")
        with another_user():
            assert "may still be open" in why(shard, known)


def test_what_nobody_knows_must_have_rested(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network file system, though this host saw it closed; it is due again when it has."""
    monkeypatch.setattr(closing, "network_file_system", lambda _: "lustre")
    known = Closing()
    assert "may still be open" in why(shard, known, was_closed=True)
    assert list(known.due()) == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + QUIET)
    assert list(known.due()) == [shard]
    assert list(known.due()) == [], "each once"
    assert why(shard, known) == ""


def test_mode_0400_is_closed(shard: Path) -> None:
    """MindSpore sets it when it has written all."""
    shard.chmod(0o400)
    assert why(shard) == ""


def test_a_file_that_cannot_be_opened_is_not_known(tmp_path: Path) -> None:
    """Reading it says why."""
    assert writers_of(tmp_path) is Writers.UNKNOWN
