"""Asking the driver's tools, hccn_tool and npu-smi, which may fail in every way that a program can."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence

_MAX_OUTPUT = 256 << 10


def ask(argv: Sequence[str], timeout: float) -> tuple[str, int | None]:
    """Run `argv` without a shell; return what it printed and its exit code, None when it had to be killed.

    Bounded in time and memory whatever the tool does: floods, forks with the pipe open, or hangs in the driver where
    not even SIGKILL reaches it. Raises OSError when it cannot be started.
    """
    deadline = time.monotonic() + timeout
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
    output = b""
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(output) < _MAX_OUTPUT and selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(pipe.fileno(), 4096)
            if not chunk:
                break
            output += chunk
    with contextlib.suppress(subprocess.TimeoutExpired):
        exit_code = process.wait(max(0.0, deadline - time.monotonic()))
        return output.decode(errors="replace"), exit_code
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    return output.decode(errors="replace"), None
