"""Be a daemon whose turns are timed: python turns.py PLACE [HOURS], with the root PLACE/root, and a clock so far ahead.

PLACE/turns.json gets when each turn of the loop began, on the monotonic clock, and its seconds.
"""

import json
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from daemon.core.settings import load_settings
from daemon.serve import start_up
from daemon.serve.intake.source import Moment
from daemon.serve.service import Service


def within(file: Path, began: float, ended: float) -> list[float]:
    """Return the durations of what began in that time."""
    return [seconds for at, seconds in json.loads(file.read_text()) if began <= at < ended]


def serve(place: Path, ahead: timedelta) -> int:
    """Be the daemon, and write down how long its turns took."""
    turn, turns = Service.turn, list[tuple[float, float]]()

    def timed(service: Service) -> None:
        began = time.monotonic()
        turn(service)
        turns.append((began, time.monotonic() - began))

    def clock() -> Moment:
        now = Moment.now()
        return replace(now, wall=now.wall + ahead)

    root = place / "root"
    with patch.object(Service, "turn", timed):
        settings = load_settings(root / "glmd.yaml", root)
        code = start_up.serve(settings, settings_file=root / "glmd.yaml", clock=clock)
    (place / "turns.json").write_text(json.dumps(turns))
    return code


if __name__ == "__main__":
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    sys.exit(serve(Path(sys.argv[1]), timedelta(hours=hours)))
