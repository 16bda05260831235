"""Sizes as people write them: `5GB`, `500MiB`, or a plain number of bytes."""

import re

UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
"""Powers of 1000 and of 1024, as safetensors' users know them: 5GB is 5,000,000,000 bytes."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
_LARGEST = 1 << 60
"""What a file can have is below it on every file system."""


def parse_size(value: object) -> int:
    """Return bytes; raises ValueError, which says the forms that are understood."""
    match = _SIZE.fullmatch(str(value).strip().lower())
    exact = float(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else 0.0
    size = int(exact) if exact <= _LARGEST else 0
    if size < 1:
        raise ValueError(f"{value!r} is no size; write 5GB, 500MB, 2GiB or a number of bytes")
    return size


def format_size(count: float) -> str:
    """Return a number of bytes in the unit that fits: `931 B`, `25.1 MB`, `12.3 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
