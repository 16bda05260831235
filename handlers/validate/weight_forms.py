"""The forms of weights that load_checkpoint takes: one file, a directory of files, a directory for each rank."""

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from handlers.ckpt import CkptError
from handlers.codes import Code
from handlers.mindformers.dialect import Dialect, NewFormat
from handlers.mindformers.keys import PASSED_OVER
from handlers.records.checked import Wanted
from handlers.shards.iterations import COMMON, choose_iteration
from handlers.shards.names import TRACKER
from handlers.validate.document import Place
from handlers.validate.input_paths import check_readable, look_for
from handlers.validate.mindformers_rules import Parallel, is_true
from handlers.validate.problem import Findings, quoted

CKPT, SAFETENSORS = ".ckpt", ".safetensors"

_DOWNLOADED = ("glm_6b", "glm_6b_chat", "glm_6b_lora", "glm_6b_lora_chat", "glm2_6b", "glm2_6b_lora")
"""Names that MindFormers 0.8 takes for load_checkpoint and downloads."""


class Form(Enum):
    """What lies at the path."""

    WHOLE = auto()
    """Weights of the whole network, in one file or several."""
    SLICES = auto()
    """Directories rank_N."""
    UNKNOWN = auto()


@dataclass(frozen=True)
class Loading:
    """How MindFormers is told to load weights."""

    suffix: str
    """Of the files that it looks for."""
    cuts: bool
    """Whether it is to cut whole weights, or slices of another layout, for its ranks (auto_trans_ckpt)."""
    dialect: Dialect
    is_iteration: bool = False
    """Whether loading is in the new format: of directories, which say themselves how their weights are cut."""
    resumes: bool = False
    """Whether the training is to go on where the weights were saved."""

    def hint(self, name: str) -> str:
        """Return what to do about a file of that name, which is not of the suffix."""
        if not name.endswith(SAFETENSORS) or self.suffix == SAFETENSORS:
            return ""
        if self.dialect.loads_safetensors:
            return "for .safetensors set load_ckpt_format: safetensors"
        return f"MindFormers {self.dialect.name} loads .ckpt only"


def place_to_load(root: Place, dialect: Dialect, *, is_iteration: bool) -> Place | None:
    """Return where the file names the weights to begin with; None where nowhere.

    As MindFormers has it: the section `checkpoint` goes before load_checkpoint, and that before a pretrained_model_dir
    with .safetensors in it.
    """
    section = root.get("checkpoint", "load_path") if dialect.new_format is NewFormat.BY_SECTION else None
    named = section if is_iteration and _says(section) else root.get("load_checkpoint")
    base = root.get("pretrained_model_dir")
    if _says(named) or base is None or not isinstance(base.data, str) or not _has_base(dialect):
        return named
    return base if any(Path(base.data).glob(f"*{SAFETENSORS}")) else named


def check_base_model(root: Place, dialect: Dialect, findings: Findings) -> None:
    """Find a pretrained_model_dir that is not there: its configuration is read before any weights are."""
    place = root.get("pretrained_model_dir")
    if _says(place) and place is not None and _has_base(dialect):
        check_readable(place, findings, directory_only=True)


def _says(place: Place | None) -> bool:
    return place is not None and place.data not in ("", None, False)


def _has_base(dialect: Dialect) -> bool:
    return PASSED_OVER["pretrained_model_dir"].lifetime.holds(dialect.since)


def how_loaded(root: Place, dialect: Dialect, findings: Findings, *, is_iteration: bool = False) -> Loading:
    """Return how the file lets weights be loaded."""
    if is_iteration:
        place = root.get("checkpoint", "no_load_optim")
        resumes = is_true(root, "resume_training") if place is None else place.data is False
        return Loading(SAFETENSORS, cuts=True, dialect=dialect, is_iteration=True, resumes=resumes)
    suffix = CKPT
    written = root.get("load_ckpt_format")
    if written is not None and dialect.loads_safetensors:
        if written.data == "safetensors":
            suffix = SAFETENSORS
        elif written.data != "ckpt":
            findings.problems.append(
                written.problem(Code.CONFIG_WEIGHTS_FORM, f"{quoted(written.data)} is not known", "ckpt or safetensors")
            )
    if suffix == CKPT and dialect.loads_safetensors and is_true(root, "remove_redundancy"):
        hint = "it is for .safetensors whose ranks left out what others saved: leave it out"
        findings.problems.append(
            root["remove_redundancy"].problem(Code.CONFIG_WEIGHTS_FORM, "MindFormers loads no .ckpt with it", hint)
        )
    return Loading(suffix, is_true(root, "auto_trans_ckpt"), dialect)


def check_form(place: Place, loading: Loading, parallel: Parallel, findings: Findings) -> Form:
    """Return the form of the weights at `place`; add a problem where MindFormers does not take it so."""
    if place.data in _DOWNLOADED:
        message = f"every rank will download {quoted(place.data)}"
        findings.warnings.append(place.problem(Code.CONFIG_WEIGHTS_FORM, message, "download it once and name the file"))
        return Form.WHOLE
    path = check_readable(place, findings)
    if path is None:
        return Form.UNKNOWN
    if loading.is_iteration:
        _check_directory(place, path, loading, findings)
        return Form.WHOLE
    if not path.is_dir():
        _check_file(place, path, loading, parallel, findings)
        return Form.WHOLE
    has_ranks = any(path.glob("rank_*")) and (loading.cuts or loading.suffix == SAFETENSORS)
    if loading.dialect.takes_whole_weights and not has_ranks and any(path.glob(f"*{loading.suffix}")):
        if loading.suffix == SAFETENSORS and not loading.cuts:
            hint = "MindFormers takes a directory of .safetensors with auto_trans_ckpt: True only"
            findings.problems.append(place.problem(Code.CONFIG_WEIGHTS_FORM, "holds whole weights", hint))
        else:
            warn_of_whole(place, loading, parallel, findings)
        return Form.WHOLE
    if loading.cuts:
        _check_slices_to_cut(place, path, loading, findings)
    else:
        _check_slices(place, path, loading, parallel.ranks, findings)
    return Form.SLICES


def _check_directory(place: Place, path: Path, loading: Loading, findings: Findings) -> None:
    """Find what MindFormers does not load in its new format (get_checkpoint_path and verify_ckpt_valid in 1.9)."""
    if not path.is_dir():
        hint = "in the new format MindFormers takes a directory: of .safetensors, or of a save with metadata.json"
        findings.problems.append(place.problem(Code.CONFIG_WEIGHTS_FORM, "is one file", hint))
        return
    try:
        save = choose_iteration(path).directory if (path / TRACKER).exists() else path
    except (CkptError, OSError) as error:
        findings.problems.append(place.problem(Code.CONFIG_WEIGHTS_FORM, "holds no save that is complete", str(error)))
        return
    if not any(save.glob(f"*{SAFETENSORS}")):
        hint = _other(path, loading) or "in the new format MindFormers looks for these"
        findings.problems.append(
            place.problem(Code.CONFIG_WEIGHTS_FORM, "holds neither a save nor .safetensors files", hint)
        )
    elif loading.resumes and not (save / COMMON).is_file():
        hint = f"without {COMMON} glmd cannot know where to resume; to start from its weights, set no_load_optim: True"
        findings.problems.append(
            place.problem(Code.CONFIG_WEIGHTS_FORM, "is no save that a training can resume from", hint)
        )


def warn_of_whole(place: Place, loading: Loading, parallel: Parallel, findings: Findings) -> None:
    """Warn of whole weights that nobody cuts for the ranks of a cut network."""
    if not parallel.by_strategy or parallel.model == 1 or parallel.target == "CPU" or loading.cuts:
        return
    hint = "MindFormers cuts whole weights with auto_trans_ckpt: True"
    if place.name == "load_checkpoint" and not loading.dialect.takes_whole_weights:
        hint += ", out of a directory that holds rank_0/…ckpt"
    findings.warnings.append(
        place.problem(Code.CONFIG_WEIGHTS_FORM, f"one file for model_parallel {parallel.model}", hint)
    )


def _check_file(place: Place, path: Path, loading: Loading, parallel: Parallel, findings: Findings) -> None:
    takes_it = loading.dialect.takes_whole_weights or not loading.cuts or place.name != "load_checkpoint"
    if path.suffix != loading.suffix:
        findings.problems.append(
            place.problem(Code.CONFIG_WEIGHTS_FORM, f"is no {loading.suffix} file", loading.hint(path.name))
        )
    elif loading.suffix == SAFETENSORS and not path.parent.name.startswith("rank_"):
        hint = "MindFormers takes .safetensors as a directory: name the one that holds this file alone"
        findings.problems.append(place.problem(Code.CONFIG_WEIGHTS_FORM, "is one file", hint))
    elif not takes_it:
        hint = f"auto_trans_ckpt needs a directory that holds rank_0/{path.name}"
        findings.problems.append(place.problem(Code.CONFIG_WEIGHTS_FORM, "is one file", hint))
    else:
        warn_of_whole(place, loading, parallel, findings)


def _check_slices_to_cut(place: Place, path: Path, loading: Loading, findings: Findings) -> None:
    if not loading.dialect.takes_whole_weights:
        if not any(path.glob("rank*")):
            findings.problems.append(
                place.problem(
                    Code.CONFIG_WEIGHTS_FORM, "holds no rank_N directories", "auto_trans_ckpt needs at least one"
                )
            )
    elif (path / "rank_0").is_dir():
        look_for(str(path / "rank_0"), Wanted.DIRECTORY, place, findings)
    else:
        hint = _other(path, loading) or "auto_trans_ckpt needs one or the other"
        findings.problems.append(
            place.problem(Code.CONFIG_WEIGHTS_FORM, f"holds neither rank_0/ nor {loading.suffix} files", hint)
        )


def _check_slices(place: Place, path: Path, loading: Loading, ranks: int, findings: Findings) -> None:
    directories = [path / f"rank_{rank}" for rank in range(ranks)]
    lacking = [rank for rank, directory in enumerate(directories) if not any(directory.glob(f"*{loading.suffix}"))]
    if lacking:
        hint = "each rank loads its own shard; for another number of ranks set auto_trans_ckpt: True"
        hint = _other(path, loading) or _other(path / f"rank_{lacking[0]}", loading) or hint
        findings.problems.append(
            place.problem(Code.CONFIG_WEIGHTS_FORM, f"holds no {loading.suffix} in rank_{lacking[0]}/", hint)
        )
        return
    for directory in directories:
        look_for(str(directory), Wanted.DIRECTORY, place, findings)


def _other(directory: Path, loading: Loading) -> str:
    """Return what to do about files of another suffix in `directory`, if it has any."""
    name = next((path.name for path in directory.glob(f"*{SAFETENSORS}")), "")
    return loading.hint(name)
