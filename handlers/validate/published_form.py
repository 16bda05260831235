"""Whether a training can begin with a merged output of glmd's, by its form; handlers.resume.continuing lays it out."""

from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.entry import Family, Format, OutputFormat
from handlers.ckpt.planning.lora_fate import Lora
from handlers.ckpt.planning.output import INDEX
from handlers.mindformers.dialect import Dialect
from handlers.validate.glmd_section import MergeWish


@dataclass(frozen=True)
class Loader:
    """The training that is to begin with it, as far as that matters."""

    dialect: Dialect
    is_cut: bool
    """Whether MindSpore cuts the network for the ranks."""
    is_iteration: bool = False
    """Whether it saves and loads in MindFormers' new format."""

    @property
    def takes_form(self) -> bool:
        """Whether MindFormers is told the form: older ones have one form, and what the file says of it holds."""
        return self.dialect.loads_safetensors


def format_of(weights: Path) -> Format:
    """Return the format of an output, named by its file, or by its index where it has several."""
    return Format.CKPT if weights.suffix == ".ckpt" else Format.SAFETENSORS


def why_not_loaded(weights: Path, loader: Loader) -> str:
    """Return what to do about an output that cannot be begun with, for people; empty where it can."""
    is_ckpt = format_of(weights) is Format.CKPT
    if is_ckpt and loader.is_iteration:
        return "in the new format MindFormers loads .safetensors only: merge into these (merge: format: safetensors)"
    if not is_ckpt and not loader.dialect.loads_safetensors:
        return f"MindFormers {loader.dialect.name} loads .ckpt only"
    if weights.name == INDEX and not (loader.is_cut or loader.is_iteration):
        return "ranks that hold the whole network load one file only: leave merge: max_shard_size out"
    return ""


def can_be_continued(wish: MergeWish, loader: Loader) -> bool:
    """Say whether the next training like this one can begin with what this one's merge writes."""
    if wish.lora is Lora.ONLY or Family.WEIGHTS not in wish.keep:  # what is missing would be initialized at random
        return False
    if wish.format is OutputFormat.HUGGINGFACE:  # under names that are not MindFormers'
        return False
    if wish.format is OutputFormat.CKPT:
        name = "filtered_transformed.ckpt"
    else:
        name = INDEX if wish.max_shard_size else "model.safetensors"
    return not why_not_loaded(Path(name), loader)
