"""The optional `glmd:` section of a dropped YAML: what the user asks of glmd itself."""

import json
import math
import re
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
)

from handlers.ckpt.entry import Family, OutputFormat
from handlers.ckpt.planning.families import keep_name
from handlers.ckpt.planning.lora import Lora
from handlers.ckpt.planning.network import Names
from handlers.codes import Code
from handlers.gate.gate import Gate
from handlers.training.ways import Word
from handlers.units.byte_sizes import parse_size
from handlers.units.devices import parse_devices
from handlers.units.duration_types import Limit
from handlers.units.stop_on_types import NotFinite, Rise
from handlers.validate.continue_from import parse_continue_from
from handlers.validate.document import Place
from handlers.validate.model_problem import problem_of
from handlers.validate.problem import Problem, quoted
from handlers.validate.slurm_section import SlurmWish
from handlers.validate.spots import encodable
from handlers.validate.yaml_nodes import Data

KEY = "glmd"
OVERRIDES = "overrides"

MOST_PRIORITY = 1_000_000
"""Either way from 0."""

_TAG = re.compile(r"[1-9][0-9]{0,8}_[1-9][0-9]{0,8}|iteration_[0-9]{8,9}", re.ASCII)
MOST_INPUTS = 1000
_MOST_VALUES, _LONGEST = 300 + MOST_INPUTS, 4096
"""Several times what all keys together need beside the inputs, and the longest path there can be."""
_TEXTS = {"devices", "continue_from", "layout_from", "tag", "hf_base"}
"""Keys whose scalars count as they are written: YAML reads `31_4` as 314 and `010` as 8."""


_Given = TypeVar("_Given")


class _LaterError(ValueError):
    code = Code.CONFIG_NOT_IN_THIS_VERSION


def _later(*names: str) -> BeforeValidator:
    """Refuse what glmd will learn, but does not do yet."""

    def refuse(value: object) -> object:
        if isinstance(value, str) and value in names:
            raise _LaterError(f"{value!r} is not in this version of glmd")
        return value

    return BeforeValidator(refuse)


def _devices(value: object) -> str:
    if isinstance(value, list):
        raise ValueError('is a YAML list; put the devices in quotes, as "[0,8)", "0-7" or "0,2,4"')  # noqa: TRY004 (pydantic wants it)
    parse_devices(text := str(value))
    return text


def _launcher(value: object) -> object:
    if value == "slurm":
        raise ValueError("'slurm' is no way for ranks to meet; write `slurm: {nodes: 2}` beside it, for where they run")
    return "cluster" if value == "msrun" else value  # what people start a cluster with by hand


def _tag(value: object) -> str:
    text = str(value)
    if text == "every":
        raise _LaterError("'every' is not in this version of glmd; write `last` or one tag, as 31_4")
    if text != "last" and not _TAG.fullmatch(text):
        raise ValueError(
            f"{quoted(text)} is no tag; write `last`, or EPOCH_STEP as in the files' names: 31_4, or iteration_00000124"
        )
    return text


def _positive(seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds < math.inf:
        raise ValueError(f"{seconds} is no time to wait; write a duration above 0, as 30m, or `none` for no limit")
    return seconds


def _shard_size(size: int, info: ValidationInfo) -> int:
    if info.data.get("format") is OutputFormat.CKPT:
        raise ValueError("a .ckpt is always one file; write `format: safetensors` beside it")
    return size


def _kept(keep: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    if info.data.get("format") is OutputFormat.HUGGINGFACE and keep != (Family.WEIGHTS,):
        raise ValueError("`format: huggingface` has weights only; write `keep: [weights]`, or leave it out")
    return keep


def _lora(lora: Lora, info: ValidationInfo) -> Lora:
    if info.data.get("format") is OutputFormat.HUGGINGFACE and lora is Lora.ONLY:
        raise ValueError("`format: huggingface` has no names for adapters alone; write `lora: merge`")
    return lora


def _for_hugging_face(value: _Given, info: ValidationInfo) -> _Given:
    if info.data.get("format") not in {None, OutputFormat.HUGGINGFACE}:
        raise ValueError("is for Hugging Face's libraries; write `format: huggingface` beside it")
    return value


def _layout_from(value: object) -> str:
    text = str(value)
    if not text.startswith("/"):
        raise ValueError(f"{quoted(text)} is no absolute path; name a strategy file, or a directory of them")
    return text


def _hf_base(value: object) -> str:
    text = str(value)
    if not text.startswith("/"):
        raise ValueError(f"{quoted(text)} is no absolute path; name the directory of the base model")
    return text


def _input(value: object) -> str:
    text = str(value)
    if not text.startswith("/"):
        raise ValueError(f"{quoted(text)} is no absolute path; name a file of data")
    return text


def _inputs(paths: tuple[str, ...]) -> tuple[str, ...]:
    if len(paths) > MOST_INPUTS:
        raise ValueError(f"names {len(paths)} files; {MOST_INPUTS} are the most")
    return tuple(dict.fromkeys(paths))


def _shown(value: object) -> object:
    """Return overrides with their values as texts."""
    if not isinstance(value, dict):
        return value
    shown = {str(key): item if isinstance(item, str) else json.dumps(item) for key, item in value.items()}
    return {encodable(key): encodable(text) for key, text in shown.items()}


_Limit = Annotated[Limit, AfterValidator(_positive)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MergeWish(_Part):
    """Which shards to merge, and what to keep of them."""

    tag: Annotated[str, BeforeValidator(_tag)] = "last"
    """`last`, EPOCH_STEP, as `31_4`, or `iteration_00000124`."""
    format: OutputFormat = OutputFormat.CKPT
    max_shard_size: Annotated[int, BeforeValidator(parse_size), AfterValidator(_shard_size)] | None = None
    """Bytes of one file; written as `5GB`. None for one file."""
    keep: Annotated[
        tuple[Annotated[str, AfterValidator(keep_name)], ...], Field(min_length=1), AfterValidator(_kept)
    ] = (Family.WEIGHTS, Family.SCALARS)
    """Families; one that no list names goes by its prefix. `kept` is what counts."""
    transformed: Annotated[bool, Strict()] = False
    """Write transformed.ckpt too, with everything the shards hold."""
    lora: Annotated[Lora, AfterValidator(_lora)] = Lora.KEEP
    """What becomes of a LoRA run's adapters."""
    layout_from: Annotated[str, BeforeValidator(_layout_from)] | None = None
    """A strategy file or directory of a full run, for the weights that a LoRA run's own does not name."""
    hf_base: Annotated[str, BeforeValidator(_hf_base), AfterValidator(_for_hugging_face)] | None = None
    """The directory of the model that was fine-tuned, for `format: huggingface`."""
    hf_names: Annotated[Names, AfterValidator(_for_hugging_face)] | None = None
    """Under which names; None for those of the base model, and without one for transformers' own."""

    @property
    def kept(self) -> tuple[str, ...]:
        """The families that are kept: of an output for Hugging Face's libraries weights alone."""
        return (Family.WEIGHTS,) if self.format is OutputFormat.HUGGINGFACE else self.keep


class Resume(_Part):
    """How often a training that failed, hung or was lost with its host is resumed from its newest save."""

    attempts: Annotated[int, Strict(), Field(ge=0, le=100)] = 3
    """At most so many times by itself; 0 leaves it to `glmd retry`."""


class Timeout(_Part):
    """When a training is taken for hung. Seconds; written as `30m`, `1h30m`, `90s` or `none`."""

    silence: _Limit = 1800.0
    first_step: _Limit = 3600.0
    total: _Limit = None


class StopOn(_Part):
    """When a training has diverged. What is not said here is as the settings say."""

    not_finite: NotFinite = 20
    """So many printed lines on end that are lost: NaN, infinite, an overflow at the smallest scale; None is off."""
    rise: Rise = None
    """As many with a loss above so many times the run's median; None is off."""


class GlmdSection(_Part):
    """All that `glmd:` may say. Without the section the defaults hold."""

    devices: Annotated[str, BeforeValidator(_devices)] | None = None
    """As `[0,8)`; None for all that settings list."""
    run_mode: Annotated[Literal["train", "finetune"], _later("eval", "predict", "export")] | None = None
    """None for what the YAML says."""
    priority: Annotated[int, Strict(), Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY)] = 0
    """Higher goes first."""
    merge: MergeWish = MergeWish()
    continue_from: Annotated[str, BeforeValidator(parse_continue_from)] = "none"
    """`none`, `latest`, the prefix that something is published of, or the absolute path of a checkpoint."""
    overrides: Annotated[dict[str, str], BeforeValidator(_shown)] = {}
    """By dotted key, what is set in the file's configuration, to be shown; handlers.validate.overrides sets it."""
    inputs: Annotated[tuple[Annotated[str, BeforeValidator(_input)], ...], AfterValidator(_inputs)] = ()
    """The files of data that the output is to name with their hashes."""
    resume: Resume = Resume()
    timeout: Timeout = Timeout()
    stop_on: StopOn = StopOn()
    gate: Gate = Gate()
    """What its output has to be to become `latest`, beyond what the settings ask for."""
    slurm: SlurmWish | None = None
    """How many nodes of Slurm's it runs on; None for this host."""
    launcher: Annotated[Word, BeforeValidator(_launcher)] = "auto"
    """How the ranks find each other; handlers.training.ways says what `auto` comes to."""
    with_rank_table: Annotated[bool, Strict()] | None = None
    """Whether the ranks of a cluster get RANK_TABLE_FILE as well; None for what the settings say."""


def read_section(root: Place) -> tuple[GlmdSection, frozenset[str], tuple[Problem, ...]]:
    """Return the section in `root`, the document; which of its keys were wrong and have their defaults; and why."""
    place = root.get(KEY)
    if place is None:
        return GlmdSection(), frozenset(), ()
    if not isinstance(place.data, dict):
        problem = place.problem(
            Code.CONFIG_NOT_A_MAPPING, "is not a mapping", 'write keys under it, as `  devices: "[0,8)"`'
        )
        return GlmdSection(), frozenset(), (problem,)
    if oversized := _oversized(place):
        return GlmdSection(), frozenset(GlmdSection.model_fields), (oversized,)
    wishes = {inner.name: _plain(inner) for inner in place if inner.data is not None}
    try:
        return GlmdSection.model_validate(wishes), frozenset(), ()
    except ValidationError as error:
        problems = tuple(problem_of(place, GlmdSection, details) for details in error.errors(include_url=False))
        wrong = frozenset(str(details["loc"][0]) for details in error.errors(include_url=False))
        section = GlmdSection.model_validate({key: wish for key, wish in wishes.items() if key not in wrong})
        return section, wrong, problems


def _oversized(section: Place) -> Problem | None:
    """Return a problem for a section that is far larger than any can be: a close look at it would take minutes."""
    count, waiting = 0, [section]
    while waiting:
        place = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            return section.key_problem(Code.YAML_TOO_COMPLEX, f"holds more than {_MOST_VALUES} values")
        if len(place.text) > _LONGEST or len(place.name) > _LONGEST:
            return place.key_problem(Code.YAML_TOO_COMPLEX, f"is longer than {_LONGEST} characters")
        waiting.extend(place)
    return None


def _plain(place: Place) -> Data:
    """Return what pydantic gets to see; empty parts are left out, so that their defaults hold."""
    if place.where == f"{KEY}.{OVERRIDES}":  # of these an empty value is one, too
        return place.data
    if isinstance(place.data, dict):
        return {inner.name: _plain(inner) for inner in place if inner.data is not None}
    scalar = place.data is not None and not isinstance(place.data, list)
    # A colon in a number is base 60: not what anybody means by 1:30.
    return place.text if scalar and (place.name in _TEXTS or ":" in place.text) else place.data
