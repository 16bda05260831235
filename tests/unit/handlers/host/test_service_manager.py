"""Promises of handlers.host.service_manager."""

from handlers.host.service_manager import for_children


def test_what_is_the_daemons_alone_is_kept_from_children() -> None:
    """All that systemd sets, whichever child it is: a shim or a rank."""
    daemon = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID")
    assert for_children({**dict.fromkeys(daemon, "x"), "PATH": "/bin", "MY_LISTEN_FDS": "1"}) == {
        "PATH": "/bin",
        "MY_LISTEN_FDS": "1",
    }
