"""What has changed, told to every browser that looks: one watcher, many streams, and neither where nobody looks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field

from daemon.face.web.reading_apart import NotReadError, Reads
from daemon.face.web.rows import Live
from handlers.errors import HandlerError

LOOK_EVERY = 1.0
"""Seconds."""
PING_EVERY = 15.0
"""Seconds after which a stream says that it is still there."""
MOST_STREAMS = 32
_RETRY = b"retry: 3000\n\n"


class TooManyStreamsError(Exception):
    """As many streams as there may be are open: the page asks now and then instead."""


@dataclass
class _Topic:
    """What some streams want to be told of."""

    what: Hashable
    look: Callable[[], Live]
    last: bytes = b""
    queues: list["asyncio.Queue[bytes]"] = field(default_factory=list)


class Streams:
    """The streams that are open."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._topics: dict[Hashable, _Topic] = {}
        self._watcher: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(topic.queues) for topic in self._topics.values())

    def open(self, what: Hashable, look: Callable[[], Live]) -> AsyncIterator[bytes]:
        """Return the events of a stream about `what`, of which `look` tells. Raises TooManyStreamsError."""
        if self.count >= MOST_STREAMS:
            raise TooManyStreamsError
        topic = self._topics.setdefault(what, _Topic(what, look))
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)
        topic.queues.append(queue)
        if topic.last:
            queue.put_nowait(topic.last)
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        return self._events(topic, queue)

    async def _events(self, topic: _Topic, queue: "asyncio.Queue[bytes]") -> AsyncIterator[bytes]:
        try:
            yield _RETRY
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), PING_EVERY)
                except TimeoutError:
                    yield b": ping\n\n"
        finally:
            topic.queues.remove(queue)
            if not topic.queues:
                self._topics.pop(topic.what, None)

    async def _watch(self) -> None:
        while self._topics:
            for topic in list(self._topics.values()):
                event = await self._event(topic)
                if event != topic.last:
                    topic.last = event
                    for queue in topic.queues:
                        _replace(queue, event)
            await asyncio.sleep(LOOK_EVERY)

    async def _event(self, topic: _Topic) -> bytes:
        try:
            told: dict[str, object] = (await self._reads.read(topic.what, topic.look)).as_json()
        except (HandlerError, NotReadError, OSError) as error:
            told = {"trouble": str(error)}
        return b"data: " + json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _replace(queue: "asyncio.Queue[bytes]", event: bytes) -> None:
    """Let a reader that is slow have the newest."""
    with contextlib.suppress(asyncio.QueueEmpty):
        queue.get_nowait()
    queue.put_nowait(event)
