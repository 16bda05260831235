"""What `continue_from` can say, in a dropped file and in a nightly cycle's settings."""

import re

_PREFIX = re.compile(r"\w[\w.+-]{0,99}")


def is_prefix(text: str) -> bool:
    """Say whether shards, and with them `latest/PREFIX`, can be called so."""
    return _PREFIX.fullmatch(text) is not None


def parse_continue_from(value: object) -> str:
    """Return what `value` says; raises ValueError for what cannot be meant."""
    text = str(value)
    if not text.startswith("/") and not is_prefix(text):
        raise ValueError(f"{text[:60]!r} is neither `none` nor `latest`, nor a prefix, nor an absolute path")
    return text
