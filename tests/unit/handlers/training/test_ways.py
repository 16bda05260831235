"""What `glmd: launcher` comes to, by the version of MindFormers and by the devices."""

import pytest

from handlers.mindformers.dialect import DIALECTS
from handlers.mindformers.version import Version
from handlers.training.ways import CLUSTER_SINCE, Chosen, DeviceTarget, Way, Word, choose

BY_TABLE = Chosen(Way.RANK_TABLE, has_table=True)
AT_SCHEDULER = Chosen(Way.CLUSTER, has_table=False)
WITH_BOTH = Chosen(Way.CLUSTER, has_table=True)


@pytest.mark.parametrize("version", [dialect.since for dialect in DIALECTS], ids=str)
@pytest.mark.parametrize(
    ("word", "target", "before", "since"),
    (
        ("auto", "Ascend", BY_TABLE, AT_SCHEDULER),
        ("rank_table", "Ascend", BY_TABLE, BY_TABLE),
        ("cluster", "Ascend", AT_SCHEDULER, AT_SCHEDULER),
        ("auto", "CPU", WITH_BOTH, AT_SCHEDULER),
        ("rank_table", "CPU", WITH_BOTH, WITH_BOTH),
        ("cluster", "CPU", AT_SCHEDULER, AT_SCHEDULER),
    ),
)
def test_what_a_word_comes_to(
    version: Version, word: Word, target: DeviceTarget, before: Chosen, since: Chosen
) -> None:
    """By itself a MindFormers older than 1.5 meets by the rank table, newer ones at a scheduler."""
    assert choose(word, version, target, with_table=False) == (since if version >= Version(1, 5) else before)


def test_a_dialect_is_on_one_side() -> None:
    """So that what is chosen for the dialect's first version holds for all."""
    assert CLUSTER_SINCE in {dialect.since for dialect in DIALECTS}


@pytest.mark.parametrize("target", ("Ascend", "CPU"))
def test_a_cluster_can_have_the_table_too(target: DeviceTarget) -> None:
    """Where the file or the settings ask for it."""
    assert choose("cluster", Version(1, 9), target, with_table=True) == WITH_BOTH
