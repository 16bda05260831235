"""Tells systemd how the daemon fares: sd_notify(3) in our own few lines; does nothing where no systemd listens."""

import os
import socket
import time

PATIENCE = 1.0
"""Seconds to wait for room in systemd's queue: a manager that is stuck must not stop the loop."""


def notify(*fields: str) -> bool:
    """Send `fields` (each `NAME=value`, one line) in one datagram; return whether there is a systemd to send to.

    Raises OSError when there is one but its socket does not take the message.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket: the kernel wants a NUL there
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE)
        sender.connect(address)
        sender.sendall("\n".join(" ".join(field.splitlines()) for field in fields).encode())
    return True


def ready(text: str) -> bool:
    """Say that start-up or a reload is complete; `text` is what `systemctl status` shows."""
    return notify("READY=1", f"STATUS={text}")


def status(text: str) -> bool:
    """Show `text` in `systemctl status`."""
    return notify(f"STATUS={text}")


def watchdog() -> bool:
    """Say that the loop is alive: call this from the loop itself, every `watchdog_interval()`."""
    return notify("WATCHDOG=1")


def reloading() -> bool:
    """Say that settings are being read again; `ready` ends this. Type=notify-reload (systemd ≥ 253) wants the time."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading settings again")


def stopping(text: str) -> bool:
    """Say that the daemon is on its way out."""
    return notify("STOPPING=1", f"STATUS={text}")


def watchdog_interval() -> float | None:
    """Return the seconds between two signs of life, half of what systemd allows; None when it expects none from us."""
    limit = os.environ.get("WATCHDOG_USEC")
    if not limit or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit) / 2_000_000
