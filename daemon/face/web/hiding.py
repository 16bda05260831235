"""Which values the page does not show: those of keys whose names say that they are secret."""

import re
from collections.abc import Sequence

SHOWN = "•••"
"""In place of a value."""
_SECRET = re.compile(r"token|secret|passw|api_?key", re.IGNORECASE)


def hidden(key: str, more: Sequence[str] = ()) -> bool:
    """Say whether the value of a key, as `a.b[0].c`, is not to be shown; `more` are the settings' web.hide."""
    return bool(_SECRET.search(key)) or any(re.search(pattern, key) for pattern in more)
