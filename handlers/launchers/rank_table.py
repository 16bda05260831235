"""One process per device of this host; the ranks find each other by the rank table (HCCL)."""

from handlers.launchers import Launch
from handlers.train_plan import ProcessPlan


def rank_table(launch: Launch) -> tuple[ProcessPlan, ...]:
    """Lay out what MindFormers' scripts/run_distribute.sh starts."""
    return tuple(launch.rank(rank, {}) for rank in range(len(launch.devices)))
