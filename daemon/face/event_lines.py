"""Lines of logs as people read them: a job's events, and what a progress bar has written over itself."""

import json
from datetime import datetime

from handlers.printable import printable


def event_line(text: str) -> str:
    """Return an event as one readable line: time, level when it is not info, name, fields."""
    try:
        event = json.loads(text)
        at = datetime.fromisoformat(event.pop("timestamp")).astimezone()
        level, name = event.pop("level", "info"), event.pop("event")
        event.pop("job", None)
        fields = " ".join(f"{key}={_value(value)}" for key, value in event.items())
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, OverflowError):
        return printable(text)  # cut off by a crash, or not ours
    mark = "" if level == "info" else f"{level.upper()} "
    return printable(f"{at:%Y-%m-%d %H:%M:%S} {mark}{name} {fields}".rstrip())


def last_state(line: str) -> str:
    """Return what stands there in the end: a rank's own bar rewrites its line with carriage returns."""
    return line.rstrip("\r").rpartition("\r")[2]


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
