"""Reads that hang hold up nobody but themselves."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from daemon.face.web.reading_apart import NotReadError, Reads


def test_what_it_returns_and_raises() -> None:
    """As if it had been called here; also a TimeoutError of the storage's own."""

    def raising(error: Exception) -> None:
        raise error

    async def test() -> None:
        reads = Reads()
        assert await reads.read("a", lambda: 7) == 7
        for error in (KeyError("x"), TimeoutError("nfs"), OSError("disk")):
            with pytest.raises(type(error)) as caught:
                await reads.read("a", lambda error=error: raising(error))
            assert caught.value is error

    asyncio.run(test())


def hang(release: threading.Event) -> Callable[[], bool]:
    """Return a read that waits."""
    return lambda: release.wait(60)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + 5
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_one_that_hangs_is_not_tried_again_until_it_has_come_back() -> None:
    """And others are read meanwhile."""

    async def test() -> None:
        reads, release, calls = Reads(within=0.1), threading.Event(), []
        with pytest.raises(NotReadError, match=r"job 1 cannot be read now: the storage did not answer within 0\.1 s"):
            await reads.read("job 1", hang(release))
        with pytest.raises(NotReadError, match="an earlier read of it still waits"):
            await reads.read("job 1", lambda: calls.append(1))
        assert not calls
        assert await reads.read("job 2", lambda: 2) == 2
        release.set()

        async def is_back() -> bool:
            try:
                return await reads.read("job 1", lambda: True)
            except NotReadError:
                return False

        await until(is_back)

    asyncio.run(test())


def test_many_that_hang() -> None:
    """As many as there are turns: more are refused within the limit, and when they have come back all goes on."""

    async def test() -> None:
        reads, release = Reads(most=3, within=0.2), threading.Event()
        began = time.monotonic()
        found = await asyncio.gather(*(reads.read(n, hang(release)) for n in range(3)), return_exceptions=True)
        assert all(isinstance(each, NotReadError) for each in found)
        with pytest.raises(NotReadError, match="too many reads wait for the storage"):
            await reads.read("another", lambda: 1)
        assert time.monotonic() - began < 1
        release.set()
        assert await Reads().read("x", lambda: 1) == 1

        async def all_are_back() -> bool:
            try:
                return await reads.read("another", lambda: True) and await reads.read(0, lambda: True)
            except NotReadError:
                return False

        await until(all_are_back)

    asyncio.run(test())


def test_one_that_ends_as_its_limit_passes_does_not_hang() -> None:
    """Whichever comes first: it is read again."""

    async def test() -> None:
        reads = Reads(within=0.02)

        async def is_read() -> bool:
            with contextlib.suppress(NotReadError):  # on a machine that is busy
                return await reads.read("a", lambda: True)
            return False

        for pause in (0.018, 0.019, 0.02, 0.021) * 10:
            with contextlib.suppress(NotReadError):
                await reads.read("a", lambda pause=pause: threading.Event().wait(pause))
            await until(is_read)

    asyncio.run(test())


def test_who_leaves_takes_no_turn_along() -> None:
    """A browser that does not wait for its answer."""

    async def test() -> None:
        reads, release = Reads(most=1), threading.Event()
        task = asyncio.create_task(reads.read("a", hang(release)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert await reads.read("a", lambda: 1) == 1

    asyncio.run(test())
