"""`glmd prune` shows what would go and why, and leaves the removing to the daemon."""

import json
from datetime import UTC, datetime

from daemon.commands.prune import lines
from daemon.core.retention import Item, Plan
from daemon.core.states import Job, State
from handlers.retention.part import Part
from tests.unit.daemon.commands.conftest import Site

NOW = datetime(2026, 11, 29, tzinfo=UTC)
JOB = Job(
    id=41, name="glm-6b-20261127T180000Z", state=State.DONE, reason="", attempt=1, priority=0, devices=(),
    prefix="glm-6b", cancel=False, submitted=NOW, changed=NOW,
)  # fmt: skip


def test_what_would_go_is_a_table_with_its_sum() -> None:
    """What stays in doubt is told below; what stays by a rule is not."""
    items = (
        Item(JOB, Part.SHARDS, 126_800_000_000, goes=True, why="promoted", is_automatic=True, is_doubt=False),
        Item(JOB, Part.MERGED, 1_000, goes=False, why="x.txt: no merge has made it", is_automatic=True, is_doubt=True),
        Item(JOB, Part.RECORDS, 1_000, goes=False, why="records is 180d", is_automatic=True, is_doubt=False),
    )
    head, row, *told = lines(Plan(items, (0, frozenset())))
    assert head.split() == ["JOB", "NAME", "PART", "SIZE", "GLMD", "WHY"]
    assert row.split() == ["41", JOB.name, "shards", "126.8", "GB", "by", "itself", "promoted"]
    assert told == [
        "126.8 GB would be removed: 1 part of 1 job",
        "kept, because glmd is not sure: merged of job 41: x.txt: no merge has made it",
    ]


def test_a_dry_run_needs_no_daemon_and_removing_does(site: Site) -> None:
    """With a dry run as JSON, too."""
    site.add("a", State.PREPARING, State.FAILED)
    assert site.glmd("prune", "--dry-run").stdout == "nothing is to be removed\n"
    assert json.loads(site.glmd("prune", "--dry-run", "--json").stdout) == {"bytes": 0, "parts": []}
    refused = site.glmd("prune")
    assert (refused.returncode, "glmd does not run" in refused.stderr) == (1, True)
    with site.daemon():
        assert site.glmd("prune").stdout == "nothing is to be removed\n"
        assert json.loads(site.glmd("prune", "--json").stdout) == {"answer": "nothing is to be removed"}
