"""The dialects of MindFormers: what one range of versions does in another way than the next."""

from dataclasses import dataclass

from handlers.mindformers.version import Version


@dataclass(frozen=True)
class Dialect:
    """What a range of versions does. Each field names the source it was read in."""

    name: str
    """For people: `0.8 and older`."""
    since: Version
    """The first version that speaks it."""
    resumes_inside_epoch: bool
    """Whether a training without data sinking goes on from a save inside an epoch, at the step behind it."""


DIALECTS = (
    Dialect(
        name="0.8 and older",
        since=Version(0, 0),
        resumes_inside_epoch=False,
    ),
)
"""By version, the oldest first."""


def dialect_of(version: Version) -> Dialect:
    """Return what `version` speaks: the newest dialect that is not younger."""
    return next(dialect for dialect in reversed(DIALECTS) if dialect.since <= version)
