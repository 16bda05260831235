"""Promises of docs/metrics.md: every sample is in its table as it is, and so is every alert."""

import re
from pathlib import Path

from daemon.face.metrics.families import FAMILIES
from daemon.face.metrics.family import Family, Type
from tests.unit.monitoring.test_monitoring import ALERTS

TEXT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def test_every_family_is_documented_as_it_is() -> None:
    """Name, type, labels and meaning, and nothing that there is not."""
    rows = re.findall(r"^\| `(glmd_\w+)` \| (\w+) \| (.*?) \| (.+) \|$", TEXT, re.MULTILINE)
    found = [Family(name, Type(kind), told, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, told in rows]
    assert found == FAMILIES


def test_every_alert_is_documented() -> None:
    """By its name, in the order of the file."""
    assert re.findall(r"^\| `(Glmd\w+)` \|", TEXT, re.MULTILINE) == [rule["alert"] for rule in ALERTS]
