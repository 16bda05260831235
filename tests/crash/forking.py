"""Processes that are forked from the test instead of started, and how the daemon in one of them asks for another."""

import ctypes
import errno
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path


def fork(main: Callable[[], int], log: Path) -> int:
    """Let a process do `main`, its output appended to `log`; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        _die_with_the_test()
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = sys.stderr = open(output, "w", buffering=1)  # noqa: SIM115, PTH123 - for the life of the process
        warnings.simplefilter("ignore")
        code = main()
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:  # noqa: BLE001 - told by the log and the code
        traceback.print_exc()
    finally:
        os._exit(code)


def _die_with_the_test() -> None:
    """Let the kernel kill this process when the test's ends, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class ShimStarter:
    """Stands for subprocess.Popen in the daemon: asks the test to fork a shim."""

    def __init__(self, requests: int, failures: int) -> None:
        self._requests, self._failures = requests, failures

    def __call__(self, argv: list[str], **_: object) -> "ShimStarter":
        """Ask for the shim of `argv`."""
        if self._failures:
            self._failures -= 1
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        os.write(self._requests, (json.dumps(argv[argv.index("handlers.shim") + 1 :]) + "\n").encode())
        return self

    def poll(self) -> int:
        """Say that the starter has ended."""
        return 0
