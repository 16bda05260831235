"""One process per device of this host; the ranks find each other by the rank table (HCCL)."""

from handlers.records.train_plan import ProcessPlan
from handlers.training.launchers import Launch


def rank_table(launch: Launch) -> tuple[ProcessPlan, ...]:
    """Lay out what MindFormers' scripts/run_distribute.sh starts."""
    return tuple(launch.rank(rank, {}) for rank in launch.ranks)
