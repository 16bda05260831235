"""What a limit of the shell or the host denies: files, processes, memory. No defects, and nothing to trace.

Imports nothing: anyone who has no more files can import nothing either.
"""

import errno

_LIMITS = {
    errno.EMFILE: "files cannot be opened: allow this shell more of them (ulimit -n 1024)",
    errno.ENFILE: "files cannot be opened: the host has no more of them (fs.file-max); end something, and try again",
    errno.ENOMEM: "there is not enough memory: free some, or allow this shell more (ulimit -v unlimited)",
    errno.EAGAIN: "no process or thread can be started: allow this user more of them (ulimit -u)",
}
_TEXTS = {
    "Too many open files": errno.EMFILE,
    "failed to map segment": errno.ENOMEM,
    "annot allocate memory": errno.ENOMEM,
    "can't start new thread": errno.EAGAIN,
    "can't allocate lock": errno.ENOMEM,
}
"""What the loader of libraries and Python's threads say, of which nothing but the text tells why they failed."""


def shortage(error: BaseException) -> str:
    """Return what is short, and what to do; empty where `error` is about something else."""
    if isinstance(error, MemoryError):
        return _LIMITS[errno.ENOMEM]
    if isinstance(error, OSError) and error.errno in _LIMITS:
        return "" if error.errno == errno.EAGAIN and error.filename is not None else _LIMITS[error.errno]
    if isinstance(error, (ImportError, RuntimeError)):
        number = next((number for text, number in _TEXTS.items() if text in str(error)), None)
        return _LIMITS[number] if number is not None else ""
    return ""
