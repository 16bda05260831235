"""What changes is told to whoever looks, and nothing is done where nobody does."""

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from starlette.types import Message

from daemon.core.root import Root
from daemon.face.web import live, looking
from daemon.face.web.live import MOST_STREAMS, Stream, Streams, TooManyStreamsError, _Topic
from daemon.face.web.looking import Look
from daemon.face.web.reading_apart import Reads
from daemon.face.web.rows import Live
from tests.unit.daemon.face.web.visitor import Visitor


class Looked:
    """Something that changes when its file does."""

    def __init__(self, file: Path | None = None) -> None:
        self.text = "first"
        self.looks = 0
        self.error: Exception | None = None
        self._files = () if file is None else (file,)

    def change(self, text: str) -> None:
        """Let it be another one."""
        self.text = text
        for file in self._files:
            file.write_text(text)

    def __call__(self) -> Live:
        """Return it as it is by now."""
        self.looks += 1
        if self.error is not None:
            raise self.error
        return Live({"text": self.text}, {}, "", self._files)


async def told(events: AsyncIterator[bytes]) -> dict[str, object]:
    """Return what a stream says next."""
    while True:
        event = (await asyncio.wait_for(anext(events), 5)).decode()
        if event.startswith("data: "):
            assert event.endswith("\n\n")
            assert event.count("\n") == 2
            found: dict[str, object] = json.loads(event.removeprefix("data: "))
            return found


def cell(news: dict[str, object]) -> str:
    """Return the text of Looked."""
    cells = news["cells"]
    assert isinstance(cells, dict)
    return str(cells["text"])


def watchers() -> int:
    """Return how many tasks look."""
    return sum("_watch" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def until_all_have_heard(heard: list[list[Message]]) -> None:
    """Wait until each browser was told something."""
    while not all(any(b"data: " in message.get("body", b"") for message in messages) for messages in heard):  # noqa: ASYNC110 - of another's making
        await asyncio.sleep(0.01)


def in_loop(test: Callable[[Streams, Looked], Awaitable[None]]) -> None:
    """Run a test."""

    async def run(directory: Path) -> None:
        await test(Streams(Reads(), Root(directory)), Looked(directory / "file"))

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory)))


def test_the_first_event_comes_at_once() -> None:
    """Also for one who comes between two looks, and for one about something else while another look hangs."""

    async def test(streams: Streams, looked: Looked) -> None:
        release = threading.Event()
        hanging = streams.open("hangs", "a job", lambda: (release.wait(60), Live({}, {}))[1])
        first = streams.open("a", "root", looked)
        began = time.monotonic()
        assert cell(await told(first.events())) == "first"
        second = streams.open("a", "root", looked)
        assert cell(await told(second.events())) == "first"
        other = streams.open("b", "others", Looked())
        assert cell(await told(other.events())) == "first"
        assert time.monotonic() - began < 0.9
        assert looked.looks == 1
        release.set()
        for stream in (hanging, first, second, other):
            streams.close(stream)

    in_loop(test)


def test_a_change_is_told_within_two_seconds_and_once() -> None:
    """To everybody who looks; one look serves them all."""

    async def test(streams: Streams, looked: Looked) -> None:
        opened = [streams.open("a", "root", looked) for _ in range(5)]
        events = [stream.events() for stream in opened]
        for each in events:
            await told(each)
        began = time.monotonic()
        looked.change("second 中\nline\u2028")
        for each in events:
            assert cell(await told(each)) == "second 中\nline\u2028"
        assert time.monotonic() - began < 2
        assert looked.looks <= 3
        for stream in opened:
            streams.close(stream)

    in_loop(test)


def test_a_slow_reader_gets_the_newest() -> None:
    """What it has missed is not kept."""

    async def test() -> None:
        stream = Stream(_Topic("a", "root", Look(Looked(), Root(Path()))))
        for number in range(1000):
            stream.tell(f'data: {{"cells":{{"text":"{number}"}}}}\n\n'.encode())
        assert cell(await told(stream.events())) == "999"

    asyncio.run(test())


def test_a_stream_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing changes, so that its script hears of it; and how soon a browser is to come again."""
    monkeypatch.setattr(live, "PING_EVERY", 0.05)

    async def test(streams: Streams, looked: Looked) -> None:
        stream = streams.open("a", "root", looked)
        events = stream.events()
        assert await anext(events) == b"retry: 3000\n\n"
        await told(events)
        assert await anext(events) == b"event: ping\ndata: 1\n\n"
        streams.close(stream)

    in_loop(test)


def test_there_are_so_many_streams_at_most() -> None:
    """The next one is refused, and closing one makes room."""

    async def test(streams: Streams, looked: Looked) -> None:
        opened = [streams.open(number % 3, "root", looked) for number in range(MOST_STREAMS)]
        with pytest.raises(TooManyStreamsError):
            streams.open("a", "root", looked)
        streams.close(opened.pop())
        opened.append(streams.open("a", "root", looked))
        for stream in opened:
            streams.close(stream)
        assert streams.count == 0

    in_loop(test)


def test_nobody_looks_where_no_stream_is() -> None:
    """What looks ends with the last stream, and comes back with the next."""

    async def test(streams: Streams, looked: Looked) -> None:
        for _ in range(2):
            opened = [streams.open(topic, "root", looked) for topic in ("a", "a", "b")]
            for stream in opened:
                await told(stream.events())
            assert watchers() == 2
            for stream in opened:
                streams.close(stream)
            await asyncio.sleep(0)
            assert watchers() == 0

    in_loop(test)


@pytest.mark.parametrize("error", (OSError("the disk"), KeyError("job"), ZeroDivisionError()))
def test_a_look_that_fails_is_told_of_and_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it fails with: the other streams go on, and so does this one."""
    monkeypatch.setattr(live, "LOOK_EVERY", 0.02)

    async def test(streams: Streams, looked: Looked) -> None:
        other = streams.open("b", "root", Looked())
        looked.error = error
        stream = streams.open("a", "root", looked)
        events = stream.events()
        assert "trouble" in await told(events)
        looked.error = None
        assert cell(await told(events)) == "first"
        await told(other.events())
        streams.close(stream)
        streams.close(other)

    in_loop(test)


def test_a_look_that_comes_too_late_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: nobody was told what it found, though nothing has moved since."""
    monkeypatch.setattr(live, "LOOK_EVERY", 0.02)
    release = threading.Event()

    async def test(directory: Path) -> None:
        looked = Looked()
        streams = Streams(Reads(within=0.2), Root(directory))
        stream = streams.open("a", "root", lambda: (release.wait(60), looked())[1])
        events = stream.events()
        assert "trouble" in await told(events)
        release.set()
        assert cell(await asyncio.wait_for(until_told_a_cell(events), looking.LASTS / 2)) == "first"
        streams.close(stream)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(test(Path(directory)))


async def until_told_a_cell(events: AsyncIterator[bytes]) -> dict[str, object]:
    """Return the next event that tells of no trouble."""
    while "cells" not in (news := await told(events)):
        pass
    return news


async def browser(visitor: Visitor, messages: list[Message], leave: asyncio.Event) -> None:
    """Open a stream as a browser does that leaves some time."""
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "path": "/events", "raw_path": b"/events", "query_string": b"of=now", "root_path": "", "scheme": "http",
        "headers": [(b"host", b"localhost"), (b"accept-encoding", b"gzip")], "client": None, "server": None,
    }  # fmt: skip
    await visitor.application.asgi(scope, receive, send)


def test_streams_of_browsers(visitor: Visitor) -> None:
    """The 33rd gets 503; who leaves frees the place, also one who has left before the first word."""

    async def test() -> None:
        gone = asyncio.Event()
        gone.set()
        for _ in range(3):
            await browser(visitor, [], gone)
        assert visitor.application.streams.count == 0
        leave, heard = asyncio.Event(), [[] for _ in range(MOST_STREAMS)]
        streams = [asyncio.create_task(browser(visitor, messages, leave)) for messages in heard]
        await until_all_have_heard(heard)
        refused: list[Message] = []
        await browser(visitor, refused, leave)
        assert refused[0]["status"] == 503
        leave.set()
        await asyncio.gather(*streams)
        assert visitor.application.streams.count == 0
        headers = dict(heard[0][0]["headers"])
        assert headers[b"content-type"].startswith(b"text/event-stream")
        assert headers[b"x-accel-buffering"] == b"no"
        assert b"content-encoding" not in headers

    asyncio.run(test())


def test_closing_twice_would_be_a_defect() -> None:
    """A stream belongs to one answer."""

    async def test(streams: Streams, looked: Looked) -> None:
        stream: Stream = streams.open("a", "root", looked)
        streams.close(stream)
        with pytest.raises(ValueError, match="list"):
            streams.close(stream)

    in_loop(test)
