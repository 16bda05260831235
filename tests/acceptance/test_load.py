"""A flood of drops, small enough for every day; `python benchmarks/load.py` has the ten thousand."""

import json
import subprocess
import sys
from pathlib import Path

LOAD = Path(__file__).parents[2] / "benchmarks" / "load.py"


def test_a_flood_of_drops_is_taken_once_each_and_the_daemon_answers_meanwhile() -> None:
    """Ten writers at once: good files, bad ones, some replaced or removed; each ends where it belongs, none twice."""
    done = subprocess.run(
        [sys.executable, LOAD, "--files", "500", "--json"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["faults"] == []
    assert figures["jobs"] > 300
    assert figures["rejected"] == 50
    assert figures["pings"] > 20
    assert 0 < figures["ping_max_ms"] < 1000
