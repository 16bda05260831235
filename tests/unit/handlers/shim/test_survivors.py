"""What is told of processes that cannot be ended."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.records.process import ProcessIdentity
from handlers.shim.survivors import describe, operator_needed

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

ONE_THREAD_STAYS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).syscall(60, 0)  # exit(2): of this thread alone
"""


@contextlib.contextmanager
def running(script: str) -> Iterator[int]:
    """Run a script as a process of its own, and yield its pid."""
    with subprocess.Popen([sys.executable, "-SEc", script]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_process_whose_main_thread_has_gone_is_told_by_the_thread_that_is_left(workshop: "Workshop") -> None:
    """A killed rank of which one thread sits in the driver is a zombie to `ps`, and holds its device all the same."""
    with running(ONE_THREAD_STAYS) as pid:
        workshop.eventually(lambda: ") Z " in Path(f"/proc/{pid}/stat").read_text(), "its main thread has gone")
        (survivor,) = describe([pid], {pid: workshop.process("", 0)})
        assert (survivor.state, survivor.rank, survivor.device) == ("S", 0, 4)
        assert survivor.identity.alive()


def test_the_dead_survive_nothing(workshop: "Workshop") -> None:
    """A child that its parent, which is stuck, has not waited for needs no operator."""
    with running("") as pid:
        identity = ProcessIdentity.of(pid)
        workshop.eventually(lambda: not identity.alive(), "it ended")
        assert describe([pid], {}) == ()


def test_state_d_is_explained(workshop: "Workshop") -> None:
    """In words that an operator can act on; other states are told as the kernel does."""
    with running("import time; time.sleep(600)") as pid:
        workshop.eventually(lambda: describe([pid], {})[0].state == "S", "it sleeps")
        (survivor,) = describe([pid], {pid: workshop.process("", 1)})
    said = operator_needed([survivor.model_copy(update={"state": "D"})])
    assert f"rank 1 on device 5 (pid {pid}, which sits in the kernel (state D)) cannot be killed" in said
    assert "which is in state S" in operator_needed([survivor])
