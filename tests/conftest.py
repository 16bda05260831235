"""What holds for every test: it leaves no thread, inotify watch, child process or descriptor behind."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ALONE = ("crash", "rehearsal", "systemd", "mindspore", "browser")
"""Folders whose tests share what is dear to make, or need the machine; the longest come first."""

PATIENCE = 10.0
"""Seconds that what a test has ended may take to be gone: a thread that was told to end, a child that was killed."""

Found = dict[tuple[object, ...], str]
"""What tells one thing from all others, and what it is in words."""
_DESCRIPTORS = Path("/proc/self/fd")


def threads() -> Found:
    """Return the living threads of this process."""
    return {(thread,): repr(thread) for thread in threading.enumerate()}


def children() -> Found:
    """Return the child processes, zombies included: whoever starts one has to wait for it."""
    pids = [int(pid) for task in Path("/proc/self/task").iterdir() for pid in _content(task / "children").split()]
    return {(pid,): f"process {pid}: {_content(Path(f'/proc/{pid}/cmdline')).replace(chr(0), ' ')}" for pid in pids}


def descriptors() -> Found:
    """Return the open descriptors, each with what it is of."""
    found: Found = {}
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - thousands of times; names are all that is wanted
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            target = os.readlink(_DESCRIPTORS / name)  # noqa: PTH115 - as above
            found[name, target] = f"descriptor {name} of {target}"
    return found


def inotify_watches() -> Found:
    """Return the watches of all inotify instances: those of one that many tests share count, too."""
    found: Found = {}
    for name, target in descriptors():
        if target == "anon_inode:inotify":
            lines = _content(Path(f"/proc/self/fdinfo/{name}")).splitlines()
            found |= {(name, line): f"a watch: {line}" for line in lines if line.startswith("inotify wd:")}
    return found


def _content(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _left(kind: Callable[[], Found], before: Found) -> list[str]:
    """Return what is there that was not before, once it has had its time to go."""
    deadline = time.monotonic() + PATIENCE
    while left := [text for key, text in kind().items() if key not in before]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.01)
    return []


class Sharing(LoadScopeScheduling):
    """Lets processes share the tests: a file is for one of them, and so is a folder of ALONE."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = _folder(file)
        return "training" if folder in {"rehearsal", "systemd"} else folder if folder in ALONE else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {folder: number for number, folder in enumerate(ALONE)}  # the rest stays shuffled
    items.sort(key=lambda item: order.get(_folder(item.nodeid), len(order)))


def _folder(nodeid: str) -> str:
    """Return the folder of tests/ that a test is in."""
    return Path(nodeid).parts[1]


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Fail a test that leaves something of these behind. What fixtures of modules and the session hold is theirs."""
    kinds = (threads, children, inotify_watches, descriptors)
    before = [kind() for kind in kinds]
    yield
    left = [text for kind, was in zip(kinds, before, strict=True) for text in _left(kind, was)]
    assert left == [], "left behind"
