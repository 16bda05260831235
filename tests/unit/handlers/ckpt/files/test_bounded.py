"""Promises of handlers.ckpt.files.bounded."""

import errno
import os
from pathlib import Path

import pytest

from handlers.ckpt.files.bounded import read_bounded


@pytest.mark.parametrize("times", (1, 2))
def test_what_another_host_replaces_while_it_is_read_is_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """By its name: the file that was opened is no more (ESTALE). Once: a server that always says so is broken."""
    path = tmp_path / "polled"
    path.write_bytes(b"old")
    left = [None] * times
    read = os.read

    def stale(descriptor: int, most: int) -> bytes:
        if left:
            left.pop()
            path.with_name("new").write_bytes(b"new")
            path.with_name("new").rename(path)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(descriptor, most)

    monkeypatch.setattr(os, "read", stale)
    if times == 1:
        assert read_bounded(path, 10) == b"new"
    else:
        with pytest.raises(OSError, match="Stale file handle") as raised:
            read_bounded(path, 10)
        assert raised.value.filename == str(path)
