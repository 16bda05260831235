"""Work that is done where it is asked for, for tests whose clock stands still meanwhile."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def at_once(key: Hashable, work: Callable[[], Result], then: Callable[[Future[Result]], None]) -> None:
    """Do `work`, and hand over what comes of it."""
    del key
    future: Future[Result] = Future()
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - recorded in the future
        future.set_exception(error)
    then(future)
