"""verdict.json: what the gate found of a merged output, and what the next output is compared with."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from handlers.records.record import Count, Moment, Record

Number = Annotated[float, Field(allow_inf_nan=False)]


class Rule(Record):
    """One rule of the gate, and how the output stands to it."""

    name: str
    """As it stands in the settings: `finite`, `loss.max_rise`, `metrics.bleu.min`."""
    passed: bool | None
    """None: it was not judged, and the others decide."""
    why: str = ""
    """For people; empty where there is nothing to say."""
    code: str = ""
    """Of a rule that did not pass, for programs (handlers.codes)."""
    value: Number | None = None
    champion: Number | None = None
    """The same of what `latest` led to, where it is compared with that."""
    limit: Number | None = None
    """What it was allowed to be: of a rule against the champion, the limit that this gives."""


class Input(Record):
    """A file that the training read."""

    path: str
    bytes: Annotated[int, Field(ge=0)]
    sha256: str = ""
    """Empty where it was not hashed."""
    mtime_ns: int = 0
    """Where it was not hashed."""


class Verdict(Record):
    """Whether an output may become `latest`, and why."""

    MOST_BYTES: ClassVar[int] = 16 << 20

    format: Literal[1] = 1
    passed: bool
    reason: str = ""
    """Why not, for people, as `loss 2.31 is 9 % above 2.12 of job 40`; empty where it passed."""
    code: str = ""
    """The same for programs (handlers.codes)."""
    rules: tuple[Rule, ...] = ()
    job: Count | None = None
    attempt: Count = 0
    """Whose merge or evaluation it was judged after."""
    at: Moment | None = None
    champion: str = ""
    """What `latest` led to: the directory; empty where it led nowhere."""
    champion_job: Count | None = None
    final_loss: Number | None = None
    """Mean of the last steps that were recorded; None where there is none, or it is not finite."""
    over: Count = 0
    """Of how many steps."""
    configuration: str = ""
    """What it has in common with trainings whose loss can be compared with its own."""
    inputs: tuple[Input, ...] | None = None
    """The data that it was trained on; None where that is not known."""
    evaluation: str = ""
    """Which one was run."""
    metrics: dict[str, Number] = Field(default_factory=dict)
    """What that has measured."""
