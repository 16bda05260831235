"""What a process asks the kernel for itself, see prctl(2)."""

import contextlib
import ctypes
import os
import signal

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_PTRACER = 0x59616D61


def adopt_orphans() -> None:
    """Let descendants whose parent dies become children of this process instead of init's. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when `parent`, which forked it, dies. Raises OSError."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def let_look(process: int) -> None:
    """Let `process` look at this one's stacks, also where Yama guards processes from their siblings."""
    with contextlib.suppress(OSError):  # no Yama
        _prctl(_PR_SET_PTRACER, process)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")
