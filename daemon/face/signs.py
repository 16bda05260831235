"""One sign for each thing, wherever glmd tells of it: on a terminal, in messages, on the page."""

from daemon.face.nights import Mark

DONE = "✔"
FAILED = "✖"
CARE = "!"
"""Somebody should look."""
LEFT_OUT = "–"
RUNNING = "▶"
WAITING = "◷"
LATE = "○"
NIGHT = "☾"

OF_MARKS = {
    Mark.DONE: DONE,
    Mark.LATE: LATE,
    Mark.MISSED: LATE,
    Mark.NOT_PROMOTED: CARE,
    Mark.FAILED: FAILED,
    Mark.SKIPPED: LEFT_OUT,
    Mark.RUNNING: RUNNING,
}
"""What a run of a night came to."""
