"""Promises of daemon.face.web.log_search: what is there is found, and a request looks at so much and no more."""

import io
from pathlib import Path

import pytest

from daemon.face.web import log_search
from daemon.face.web.log_search import Found, look_back, look_forward

CONTENT = b"Ab--ab----aB-" * 3


@pytest.fixture(params=(1, 3, 7, 1 << 20))
def stream(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> io.FileIO:
    """Return a log that is read in blocks of some size: a hit may lie across two."""
    monkeypatch.setattr(log_search, "_CHUNK", request.param)
    path = tmp_path / "log"
    path.write_bytes(CONTENT)
    with path.open("rb", buffering=0) as opened:
        yield opened


@pytest.mark.parametrize("any_case", (False, True))
def test_every_hit_is_found_from_both_ends(stream: io.FileIO, *, any_case: bool) -> None:
    """One after the other, each once."""
    text = CONTENT.lower() if any_case else CONTENT
    wanted = [at for at in range(len(text)) if text.startswith(b"ab", at)]
    found, at = [], 0
    while (hit := look_forward(stream, b"ab", at, any_case=any_case)).at is not None:
        found.append(hit.at)
        at = hit.at + 1
    assert found == wanted
    assert hit == Found(None, len(CONTENT), is_over=True)
    at = 1 << 60
    while (hit := look_back(stream, b"ab", at, any_case=any_case)).at is not None:
        assert hit.at == found.pop()
        at = hit.at
    assert (found, hit) == ([], Found(None, 0, is_over=True))


def test_one_request_looks_at_so_much(stream: io.FileIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says where to go on; nothing in between is missed."""
    monkeypatch.setattr(log_search, "MOST", 5)
    monkeypatch.setattr(log_search, "_CHUNK", 2)
    at, turns = 0, 0
    while (found := look_forward(stream, b"nothing", at, any_case=False)) and not found.is_over:
        assert 5 <= found.looked_to - at <= 6
        at, turns = found.looked_to, turns + 1
    assert turns == len(CONTENT) // 6
    assert look_back(stream, b"nothing", len(CONTENT), any_case=False).looked_to == len(CONTENT) - 6


def test_a_disk_that_is_slow_ends_it_too(stream: io.FileIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its time; the rest is asked for anew."""
    monkeypatch.setattr(log_search, "WITHIN", -1)
    for found in (look_forward(stream, b"ab", 3, any_case=False), look_back(stream, b"ab", 9, any_case=False)):
        assert (found.at, found.is_over) == (None, False)
