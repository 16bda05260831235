"""What glmd-notify says of its outbox to whoever may not read that."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.face.notify.standing import NAME, Counts, Standing, StandingError, read_standing

STANDING = Standing(
    Path("/var/glm"),
    {"team": Counts({"sent": 3, "pending": 1}, datetime(2026, 11, 29, tzinfo=UTC)), "hook": Counts({})},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """By everybody."""
    STANDING.publish(tmp_path)
    assert read_standing(tmp_path) == STANDING
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o644


def test_there_is_none_where_none_runs(tmp_path: Path) -> None:
    """That is no error."""
    assert read_standing(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    "content",
    ("", "[]", "null", '{"format": 2, "root": "/", "destinations": {}}',
     '{"format": 1, "root": "/", "destinations": []}',
     '{"format": 1, "root": "/", "destinations": {"a": {"messages": {"sent": "x"}, "oldest_pending": null}}}',
     '{"format": 1, "root": "/", "destinations": {"a": {"messages": {}, "oldest_pending": "soon"}}}', "[" * 100_000),
)  # fmt: skip
def test_what_is_none_is_told(tmp_path: Path, content: str) -> None:
    """With what to do."""
    (tmp_path / NAME).write_text(content)
    with pytest.raises(StandingError, match="restart glmd-notify"):
        read_standing(tmp_path)
