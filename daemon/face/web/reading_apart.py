"""Reading in threads with a time limit: what lies on storage that is dead never holds up the page."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from handlers.codes import Code
from handlers.errors import HandlerError

WITHIN = 2.0
"""Seconds that one answer may take."""
MOST = 16
"""Reads at a time: more wait for their turn, and are refused when that does not come."""

_T = TypeVar("_T")


class NotReadError(HandlerError):
    """What the page is to show could not be read in time."""

    code = Code.WEB_NOT_READ


class Reads:
    """Reads that are under way. One that hangs costs its thread, and whatever it read is not read again meanwhile."""

    def __init__(self, most: int = MOST, within: float = WITHIN) -> None:
        self._turns = asyncio.Semaphore(most)
        self._within = within
        self._hanging: set[Hashable] = set()

    async def read(self, what: Hashable, function: Callable[[], _T]) -> _T:
        """Return what `function` returns, or raise what it raises. Raises NotReadError after the limit.

        `what` says whose files it reads, as a job's number: where an earlier read of it still hangs, it is not tried.
        """
        if what in self._hanging:
            raise _not_read(what, "an earlier read of it still waits for the storage")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()
        has_begun = is_over = False

        def deliver(result: _T | None, error: Exception | None) -> None:
            nonlocal is_over
            is_over = True
            self._turns.release()
            self._hanging.discard(what)
            if answer.done():  # nobody waits for it any more
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(cast("_T", result))

        def run() -> None:
            result, error = _outcome(function)
            with contextlib.suppress(RuntimeError):  # the process ends
                loop.call_soon_threadsafe(deliver, result, error)

        limit = asyncio.timeout(self._within)
        try:
            async with limit:
                await self._turns.acquire()
                has_begun = True
                threading.Thread(target=run, daemon=True).start()  # a pool's threads would be waited for at the end
                return await answer
        except TimeoutError:
            if not limit.expired():  # the storage itself says so
                raise
            if not has_begun:
                raise _not_read(what, "too many reads wait for the storage") from None
            if not is_over:
                self._hanging.add(what)
            raise _not_read(what, f"the storage did not answer within {self._within:g} s") from None


def _outcome(function: Callable[[], _T]) -> tuple[_T | None, Exception | None]:
    try:
        return function(), None
    except Exception as error:  # noqa: BLE001 - handed to whoever asked
        return None, error


def _not_read(what: Hashable, why: str) -> NotReadError:
    return NotReadError(f"{what} cannot be read now: {why}")
