"""A drop into the inbox, from this side: put it there, learn which job it became, wait for that job's end."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.core.database import StoreError
from daemon.core.names import NAME_MAX, digest_of
from daemon.core.owner import ElsewhereError
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.status import JobStatus, job_status
from handlers.ckpt.files.durable import publish_bytes
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable
from handlers.unfinished import is_ignored

POLL = 0.5
"""Seconds between two looks at the store."""
_ROOM = len(".") + len("-9999") + len(".01234567.tmp")
"""Bytes that a name grows by while it is published, and by a number that makes it unlike the others."""


@dataclass(frozen=True)
class Drop:
    """A file that was put into the inbox."""

    path: Path
    digest: str
    after: int
    """The newest job there was before; what this drop becomes is newer."""


def drop(content: bytes, name: str, root: Root) -> Drop:
    """Put `content` into the inbox under `name`, or a name with a number when such a file waits already.

    Raises BadInputError for a name that the daemon would pass over, and OSError.
    """
    if is_ignored(name) or "/" in name or not name.isprintable() or len(name.encode()) > NAME_MAX - _ROOM:
        raise BadInputError(
            f"{printable(name)!r} cannot be a name in the inbox, where glmd ignores hidden and temporary files; "
            "choose another, as --name glm_6b"
            "",
            Code.DROP_NAME,
        )
    if not root.inbox.is_dir():
        raise BadInputError(
            f"{root.inbox}: no inbox there; start glmd with this root once, or name another with --root",
            Code.DROP_NO_INBOX,
        )
    newest = _newest_job(root)
    for candidate in _names(name):
        try:
            publish_bytes(root.inbox / candidate, content, replace=False)
        except FileExistsError:
            continue
        return Drop(root.inbox / candidate, digest_of(content), newest)
    raise BadInputError(f"{root.inbox}: thousands of files named like {printable(name)} wait there", Code.DROP_NAME)


def job_of(dropped: Drop, root: Root) -> JobStatus | None:
    """Return what `dropped` has become; None while it waits to be taken."""
    try:
        with ReadStore.open(root.store) as store:
            job = store.newest_with(dropped.digest)
            return job_status(job, root.path) if job and job.id > dropped.after else None
    except StoreError:
        if root.store.exists():
            raise
        return None  # no daemon was ever here


def wait_for_job(dropped: Drop, root: Root, seconds: float) -> JobStatus | None:
    """Return what `dropped` has become; None when it was not taken in `seconds`."""
    deadline = time.monotonic() + seconds
    while (found := job_of(dropped, root)) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def follow(job: int, root: Root, show: Callable[[JobStatus], None]) -> JobStatus:
    """Call `show` about twice a second until `job` is over, and return how it ended."""
    while True:
        with ReadStore.open(root.store) as store:
            status = job_status(store.job(job), root.path)
        show(status)
        if status.job.state.is_over:
            return status
        time.sleep(POLL)


def exit_code_of(state: State) -> int:
    """Return the exit code that a job's end gives to anyone who waited for it."""
    return {State.DONE: 0, State.REJECTED: 2}.get(state, 1)


def _newest_job(root: Root) -> int:
    try:
        if not root.store.exists():
            return 0
    except ElsewhereError:  # what the drop becomes can be asked there alone, and a drop every host can make
        return 0
    with ReadStore.open(root.store) as store:
        return store.highest()


def _names(name: str) -> Iterator[str]:
    yield name
    path = Path(name)
    for number in range(2, 10_000):
        yield f"{path.stem}-{number}{path.suffix}"
