"""File names that strangers chose: how they are shortened."""

import hashlib
import os
import re
from pathlib import Path

NAME_MAX = 255  # bytes in a file name, on every Linux file system that matters here


def fitting(name: str, ending: str = "", limit: int = NAME_MAX) -> str:
    """Return `name` + `ending` when it fits `limit` bytes, else a shortened `name` + a hash of it + `ending`.

    The same arguments always give the same result, and different names different ones.
    """
    whole = os.fsencode(name)
    if len(whole) + len(os.fsencode(ending)) <= limit:
        return name + ending
    ending = f"~{hashlib.sha256(whole).hexdigest()[:8]}{ending}"
    cut = whole[: limit - len(os.fsencode(ending))]
    # Not within a character: a name that was UTF-8 stays so.
    return cut.decode(errors="ignore" if _is_utf8(whole) else "surrogateescape") + ending


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


REASON = ".reason.txt"


# A file that is being published has a name that is this much longer: a dot, and durable's random ending.
REASON_NAME_MAX = NAME_MAX - len(".") - len(".01234567.tmp")


def reason_file(rejected: Path) -> Path:
    """Return where the reason lies of the rejected file `rejected`."""
    return rejected.with_name(fitting(rejected.name, REASON, REASON_NAME_MAX))


_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def digest_of(content: bytes) -> str:
    """Return what the store knows dropped bytes by."""
    return hashlib.sha256(content).hexdigest()


def job_name(file_name: str) -> str:
    """Return a name for a job's directory and unit, made from the dropped file's name."""
    stem = file_name.rsplit(".", 1)[0] if file_name.endswith((".yaml", ".yml")) else file_name
    return _NOT_IN_NAMES.sub("_", stem).strip("._-")[:64] or "unnamed"


def claims_of(tree: Path) -> str:
    """Return how the claims of all merges of `tree` begin."""
    return f"tree:{tree}:"
