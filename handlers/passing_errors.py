"""Which errors of the operating system may pass by themselves, so that the very same call succeeds later."""

import errno

_NUMBERS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),  # somebody frees space, or mounts the disk for writing again
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS),  # others give something back
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN),  # it was away
        *(errno.EINTR, errno.EBUSY, errno.ETXTBSY),
    }
)


def may_pass(error: OSError) -> bool:
    """Tell whether it is about the state of the host; else it is about what was asked for (no such file, no right)."""
    return error.errno in _NUMBERS
