"""What exit.json says of a training that has diverged."""

from handlers.rank_log.divergence import Diverged
from handlers.records.step_exit import Diagnosis, Divergence

DIAGNOSIS = Diagnosis(
    error="divergence",
    rank=None,
    cause="usually a learning rate that is too high, or rises too fast; else damaged data",
    remedy="see the curve: `glmd steps N`; lower `learning_rate` or lengthen `warmup_steps`, look at the data of that "
    "step, and drop the file again",
    may_pass=None,
)


def since_when(found: Diverged) -> Divergence:
    """Return what of it others go by, whatever numbers the log has."""
    since = found.since
    return Divergence(
        epoch=since.epoch,
        step=since.step,
        number=max(0, since.number),
        sound=None if found.sound is None else max(0, found.sound),
    )
