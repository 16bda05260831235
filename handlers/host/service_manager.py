"""systemd as the service manager: whether it runs this host, and what it gives to the daemon alone."""

import re
from collections.abc import Mapping
from pathlib import Path

SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs the host, see sd_booted(3)."""

_OF_THE_DAEMON = re.compile(
    r"NOTIFY_SOCKET|WATCHDOG_.*|LISTEN_.*|INVOCATION_ID|JOURNAL_STREAM|MAINPID|SYSTEMD_EXEC_PID"
)
"""A child that wrote to NOTIFY_SOCKET would speak for the daemon."""


def runs_this_host() -> bool:
    """Say whether systemd does."""
    return SYSTEMD.is_dir()


def for_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without what is for the daemon alone."""
    return {name: value for name, value in environment.items() if not _OF_THE_DAEMON.fullmatch(name)}
