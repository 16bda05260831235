"""Merges that wait before they write the last of their files: all the others are there, and none has its name."""

from pathlib import Path

_HOLD = """
import os, sys, time
def hold(event, arguments):
    if event == "open" and str(arguments[0]).endswith("/.merging/manifest.json") and arguments[2] & os.O_CREAT:
        while not os.path.exists({gate!r}):
            time.sleep(0.02)
sys.addaudithook(hold)
"""


def held_by(gate: Path, place: Path) -> str:
    """Return the PYTHONPATH with which a merge waits until `gate` exists; what it takes is put into `place`."""
    (place / "sitecustomize.py").write_text(_HOLD.format(gate=str(gate)))
    return str(place)


def is_held(merged: Path) -> bool:
    """Say whether a merge into `merged` waits, or was killed when it did."""
    return any((merged / ".merging").glob("*.ckpt"))


def published(merged: Path) -> list[str]:
    """Return the names that people see in an output."""
    return sorted(each.name for each in merged.iterdir() if not each.name.startswith("."))
