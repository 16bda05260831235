"""The loop sleeps until something happens, and no longer."""

import os
import signal
import subprocess
import threading
import time

from daemon.serve.loop.waiting import Waiting


def test_a_thread_can_wake_it() -> None:
    """`wake` from another thread ends a long wait."""
    with Waiting() as waiting:
        threading.Timer(0.05, waiting.wake).start()
        began = time.monotonic()
        waiting.wait(30)
        assert time.monotonic() - began < 10


def test_a_wake_before_the_wait_is_not_lost() -> None:
    """What happened between two waits ends the second one at once; many wakes count as one."""
    with Waiting() as waiting:
        for _ in range(100_000):
            waiting.wake()
        began = time.monotonic()
        waiting.wait(30)
        assert time.monotonic() - began < 10


def test_a_signal_wakes_it() -> None:
    """A signal whose handler only sets a flag still ends the wait."""
    seen: list[int] = []
    previous = signal.signal(signal.SIGHUP, lambda number, _: seen.append(number))
    try:
        with Waiting() as waiting:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGHUP)).start()
            began = time.monotonic()
            while not seen and time.monotonic() - began < 10:
                waiting.wait(10)
            assert seen == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_who_wakes_it_too_late_is_not_told() -> None:
    """A worker may come to its end after the daemon's loop."""
    with Waiting() as waiting:
        pass
    waiting.wake()


def test_the_end_of_a_process_wakes_it() -> None:
    """A pidfd is readable when its process has ended."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child, Waiting() as waiting:
        descriptor, ended = os.pidfd_open(child.pid), []
        waiting.watch(descriptor, lambda: (ended.append(True), waiting.unwatch(descriptor)))
        waiting.wait(0)
        assert not ended
        assert child.stdin is not None
        child.stdin.close()
        waiting.wait(30)
        assert ended
        os.close(descriptor)
