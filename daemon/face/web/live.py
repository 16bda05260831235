"""What has changed, told to every browser that looks: one look at a time at each thing, however many look at it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field

import structlog

from daemon.core.database import StoreError
from daemon.core.root import Root
from daemon.face.web.looking import Look
from daemon.face.web.reading_apart import Reads
from daemon.face.web.rows import Live
from handlers.errors import HandlerError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOOK_EVERY = 1.5
"""Seconds."""
PING_EVERY = 15.0
"""Seconds after which a stream says that it is still there."""
MOST_STREAMS = 32
_RETRY = b"retry: 3000\n\n"
_PING = b"event: ping\ndata: 1\n\n"
"""An event, for scripts hear of no comment: what they show is as it was, and no older than this."""


class TooManyStreamsError(Exception):
    """As many streams as there may be are open: the page asks now and then instead."""


@dataclass
class _Topic:
    """What some streams want to be told of."""

    name: Hashable
    whose: str
    look: Look
    last: bytes = b""
    streams: list["Stream"] = field(default_factory=list)
    watcher: "asyncio.Task[None] | None" = None


class Stream:
    """One that looks; it is there until it is closed."""

    def __init__(self, topic: _Topic) -> None:
        self.topic = topic
        self._newest: asyncio.Queue[bytes] = asyncio.Queue(1)

    def tell(self, event: bytes) -> None:
        """Let it have an event next; a reader that is slow gets the newest."""
        with contextlib.suppress(asyncio.QueueEmpty):
            self._newest.get_nowait()
        self._newest.put_nowait(event)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield what it is told, and a sign of life where that is nothing."""
        yield _RETRY
        while True:
            try:
                yield await asyncio.wait_for(self._newest.get(), PING_EVERY)
            except TimeoutError:
                yield _PING


class Streams:
    """The streams that are open."""

    def __init__(self, reads: Reads, root: Root) -> None:
        self._reads = reads
        self._root = root
        self._topics: dict[Hashable, _Topic] = {}

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(topic.streams) for topic in self._topics.values())

    def open(self, name: Hashable, whose: str, look: Callable[[], Live]) -> Stream:
        """Open a stream about the topic `name`, of which `look` tells, and which reads `whose` files.

        Anyone who opens one closes it. Raises TooManyStreamsError.
        """
        if self.count >= MOST_STREAMS:
            raise TooManyStreamsError
        topic = self._topics.setdefault(name, _Topic(name, whose, Look(look, self._root)))
        stream = Stream(topic)
        topic.streams.append(stream)
        if topic.last:
            stream.tell(topic.last)
        if topic.watcher is None:
            topic.watcher = asyncio.create_task(self._watch(topic))
        return stream

    def close(self, stream: Stream) -> None:
        """Take a stream away; with the last one of a topic nobody looks there any more."""
        topic = stream.topic
        topic.streams.remove(stream)
        if not topic.streams:
            del self._topics[topic.name]
            if topic.watcher is not None:
                topic.watcher.cancel()

    async def _watch(self, topic: _Topic) -> None:
        while True:
            event = await self._event(topic)
            if event != topic.last:
                topic.last = event
                for stream in topic.streams:
                    stream.tell(event)
            await asyncio.sleep(LOOK_EVERY)

    async def _event(self, topic: _Topic) -> bytes:
        try:
            news = await self._reads.read(topic.whose, topic.look.news)
            if news is None:
                return topic.last
            content = news.as_json()
        except (HandlerError, StoreError, OSError) as error:
            topic.look = topic.look.anew()
            content = {"trouble": str(error)}
        except Exception as error:
            topic.look = topic.look.anew()
            log.exception("live_look_failed", topic=str(topic.name))
            content = {"trouble": f"{topic.whose} cannot be shown: {type(error).__name__}"}
        return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
