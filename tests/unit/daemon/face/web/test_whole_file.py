"""Promises of daemon.face.web.whole_file: a file, or the part of it that is asked for (RFC 9110, 14)."""

import asyncio
from pathlib import Path

import httpx
import pytest

from daemon.face.web.whole_file import WholeFile

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file."""
    found = tmp_path / "file"
    found.write_bytes(CONTENT)
    return found


def ask(path: Path, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask for it."""
    response = WholeFile(path.open("rb", buffering=0), "a b.ckpt", "application/octet-stream")

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(response)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(
                method, "/", headers={name.replace("_", "-"): value for name, value in headers.items()}
            )

    answer = asyncio.run(get())
    assert response._stream.closed
    return answer


def test_all_of_it(path: Path) -> None:
    """With its length, and as a file to be saved."""
    answer = ask(path)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == "attachment; filename=\"a_b.ckpt\"; filename*=UTF-8''a%20b.ckpt"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    (
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=1000000-", 1_000_000, len(CONTENT)),
        ("bytes=-7", len(CONTENT) - 7, len(CONTENT)),
        ("bytes=-99999999999", 0, len(CONTENT)),
        ("bytes=10-99999999999999", 10, len(CONTENT)),
    ),
)
def test_a_part_of_it(path: Path, wanted: str, start: int, end: int) -> None:
    """From byte to byte, or the last ones."""
    answer = ask(path, range=wanted)
    assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("wanted", (f"bytes={len(CONTENT)}-", "bytes=99999999999-", "bytes=-0"))
def test_a_part_that_it_does_not_have(path: Path, wanted: str) -> None:
    """Is refused, with its size."""
    answer = ask(path, range=wanted)
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize(
    "wanted", ("bytes=9-5", "bytes=0-1,3-4", "lines=1-2", "bytes=", "bytes=a-b", "bytes=--1", "x" * 2000)
)
def test_what_is_not_one_range_is_all_of_it(path: Path, wanted: str) -> None:
    """As if nothing had been said."""
    assert ask(path, range=wanted).content == CONTENT


def test_a_part_of_another_file_is_all_of_this(path: Path) -> None:
    """What grew since a download broke off is not joined to it."""
    etag = ask(path).headers["etag"]
    assert ask(path, range="bytes=5-9", if_range=etag).status_code == 206
    with path.open("ab") as stream:
        stream.write(b"more")
    answer = ask(path, range="bytes=5-9", if_range=etag)
    assert (answer.status_code, answer.content) == (200, CONTENT + b"more")


def test_a_head_has_no_body(path: Path) -> None:
    """But what all of it would have been announced by."""
    answer = ask(path, "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))


def test_of_nothing_there_is_nothing(tmp_path: Path) -> None:
    """Nor a part of it."""
    empty = tmp_path / "empty"
    empty.touch()
    assert ask(empty).content == b""
    assert ask(empty, range="bytes=-5").status_code == 416
