"""The merge step's part of plan.json, and what `glmd merge` makes of its flags.

A plain dataclass, apart from `handlers.records.job_plan`: pydantic reads it from JSON as one of its own, but importing
pydantic takes longer than merging a small run.
"""

from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.entry import Family, OutputFormat
from handlers.ckpt.planning.lora_fate import Lora
from handlers.ckpt.planning.network import Names, Network
from handlers.ckpt.planning.origin import Origin


@dataclass(frozen=True, kw_only=True)
class MergePlan:
    """Which shards become which files, and how."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - of its class, as pydantic wants it

    source: Path
    """An output tree: holds checkpoint/rank_N/ (or rank_N/) and perhaps strategy/."""
    files: tuple[Path, ...] = ()
    """The shards themselves, one a rank, instead of what is found in the tree."""
    strategy: Path | None = None
    """A strategy file or directory; None looks in SOURCE/strategy."""
    needs_strategy: bool = True
    """False for data parallel runs, which write no strategy files."""
    ranks: int | None = None
    """How many ranks must be there; None for what the strategy files say."""
    stages: int | None = None
    """How many pipeline stages there must be; None for those that the strategy files describe."""
    prefix: str | None = None
    """The shards' prefix; None where only one prefix occurs."""
    tag: str = "last"
    """`last` or EPOCH_STEP, as `31_4`."""
    keep: tuple[str, ...] = (Family.WEIGHTS, Family.SCALARS)
    """Families; one that no list names goes by its prefix."""
    lora: Lora = Lora.KEEP
    """What becomes of LoRA adapters."""
    lora_alpha: float | None = None
    """Of the training; merging needs it."""
    lora_rank: int | None = None
    """Of the training; merging needs it."""
    layout_from: Path | None = None
    """A strategy file or directory for what the run's own strategy does not name: a LoRA run's frozen weights."""
    format: OutputFormat = OutputFormat.CKPT
    max_shard_size: int | None = None
    """Bytes of a safetensors file; None for one file, and for Hugging Face's libraries for their own limit."""
    hf_base: Path | None = None
    """The directory of the model that was fine-tuned: the output gets its configuration and tokenizer."""
    hf_names: Names | None = None
    """Under which names; None for those of the base model, and without one for transformers' own."""
    network: Network | None = None
    """What the training's YAML says of the network."""
    transformed: bool = False
    """Write transformed.ckpt too, with everything the shards hold."""
    destination: Path
    """The directory that gets the output and manifest.json."""
    can_be_continued: bool = False
    """Whether a training could go on from the output, so that it may become `latest`."""
    origin: Origin | None = None
    """What made the shards: by this the newest output is told. The merge step knows it, not who plans it."""
    allow_not_finite: tuple[str, ...] = ()
    """Patterns of the names that may hold NaN or infinity. What a job has trained is kept, whatever it holds."""
    force: bool = False
    """Replace an existing output."""
    hashed: bool = True
    """Hash every parameter, for `glmd verify`."""
    compared: bool = True
    """Compare replicas; otherwise they are trusted to be equal."""
