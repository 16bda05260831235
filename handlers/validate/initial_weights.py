"""The weights that a training starts from: what the YAML names, a path, or the newest published result."""

from pathlib import Path

from handlers.ckpt.durable import make_directory, publish_symlink
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.input_paths import check_readable
from handlers.validate.mindformers_rules import Parallel, is_true
from handlers.validate.problem import Findings, quoted

MERGED = "filtered_transformed.ckpt"

_DOWNLOADED = ("glm_6b", "glm_6b_chat", "glm_6b_lora", "glm_6b_lora_chat", "glm2_6b", "glm2_6b_lora")
"""Names that MindFormers 0.8 takes for load_checkpoint and downloads."""


def weights_to_load(section: GlmdSection, prefix: str, latest: Path | None) -> Path | None:
    """Return what `continue_from` means now, for --load_checkpoint; None leaves it to the YAML's load_checkpoint.

    `latest` with nothing published yet leaves it to the YAML too: that is a nightly cycle's first night. `latest` is
    ROOT/latest.
    """
    if section.continue_from == "none":
        return None
    if section.continue_from == "latest":
        return _newest_published(latest, prefix) if latest and prefix else None
    return Path(section.continue_from)


def as_rank_directory(weights: Path, directory: Path) -> Path:
    """Return what to load so that MindFormers cuts `weights` for the ranks (auto_trans_ckpt: True).

    That is a directory with the whole checkpoint as rank 0's; a file is linked into `directory` in that form, again
    and again without harm. Raises OSError.
    """
    if weights.is_dir():
        return weights
    make_directory(directory / "rank_0")
    publish_symlink(directory / "rank_0" / weights.name, weights)
    return directory


def _newest_published(latest: Path, prefix: str) -> Path | None:
    """Return the newest merged file of `prefix`: the file itself, not the link that may point elsewhere soon."""
    try:
        return (latest / prefix / MERGED).resolve(strict=True)
    except OSError:
        return None


def check_weights(
    root: Place,
    section: GlmdSection,
    run_mode: str,
    parallel: Parallel,
    published: Path | None,
    findings: Findings,
) -> None:
    """Find out whether a finetune has weights to start from, and whether they are there and of the right form.

    `published` is what `continue_from: latest` would take now. MindFormers sets `checkpoint_name_or_path` of the model
    aside when it trains, so only load_checkpoint counts.
    """
    if section.continue_from == "latest" and not section.merge.can_be_continued:
        message = "will not come upon what this file's own jobs publish"
        hint = "no training can start from it: it is no .ckpt, or without the network's weights"
        findings.warnings.append(root[KEY]["continue_from"].problem(message, hint))
    if published is None:
        first_night = section.continue_from == "latest"
        place = (
            root.get("load_checkpoint") if section.continue_from in {"none", "latest"} else root[KEY]["continue_from"]
        )
        if place is None or place.data is False or place.data == "":
            if run_mode == "finetune":
                _add_missing(root, findings, first_night=first_night)
            return
        if first_night:
            message = "nothing of this prefix is published yet"
            findings.warnings.append(root[KEY]["continue_from"].problem(message, "load_checkpoint serves this time"))
        _check_form(root, place, parallel, findings)
    else:
        _warn_of_one_file(root, root[KEY]["continue_from"], parallel, findings)
    if parallel.by_strategy and parallel.target == "Ascend":
        _check_sink(root, findings)


def _add_missing(root: Place, findings: Findings, *, first_night: bool) -> None:
    hint = "a finetune starts from weights: name a file or directory"
    if first_night:
        hint += "; nothing is published yet that continue_from: latest could take"
    elif root.get("model", "model_config", "checkpoint_name_or_path"):
        hint += "; in training MindFormers does not look at checkpoint_name_or_path"
    key = root.get("load_checkpoint")
    findings.problems.append(key.key_problem("is empty", hint) if key else root.missing("load_checkpoint", hint))


def _check_form(root: Place, place: Place, parallel: Parallel, findings: Findings) -> None:
    if place.data in _DOWNLOADED:
        message = f"every rank will download {quoted(place.data)}"
        findings.warnings.append(place.problem(message, "download it once and name the file"))
        return
    path = check_readable(place, findings)
    if path is None:
        return
    transformed = is_true(root, "auto_trans_ckpt")
    if path.is_dir():
        _check_directory(place, path, parallel.ranks, findings, transformed=transformed)
    elif transformed and place.name == "load_checkpoint":
        hint = f"auto_trans_ckpt needs a directory that holds rank_0/{path.name}"
        findings.problems.append(place.problem("is one file", hint))
    else:
        _warn_of_one_file(root, place, parallel, findings)


def _warn_of_one_file(root: Place, place: Place, parallel: Parallel, findings: Findings) -> None:
    if not parallel.by_strategy or parallel.model == 1 or parallel.target == "CPU" or is_true(root, "auto_trans_ckpt"):
        return
    hint = "MindFormers cuts whole weights with auto_trans_ckpt: True"
    if place.name == "load_checkpoint":
        hint += ", out of a directory that holds rank_0/…ckpt"
    findings.warnings.append(place.problem(f"one file for model_parallel {parallel.model}", hint))


def _check_directory(place: Place, path: Path, ranks: int, findings: Findings, *, transformed: bool) -> None:
    if transformed:
        if not any(path.glob("rank*")):
            findings.problems.append(place.problem("holds no rank_N directories", "auto_trans_ckpt needs at least one"))
        return
    lacking = [rank for rank in range(ranks) if not any((path / f"rank_{rank}").glob("*.ckpt"))]
    if lacking:
        hint = "each rank loads its own shard; for another number of ranks set auto_trans_ckpt: True"
        findings.problems.append(place.problem(f"holds no .ckpt in rank_{lacking[0]}/", hint))


def _check_sink(root: Place, findings: Findings) -> None:
    runner = root.get("runner_config")
    if runner is None or is_true(root, "runner_config", "sink_mode"):
        return
    hint = "MindFormers loads weights into a cut network in sink mode only: set it to True"
    sink = runner.get("sink_mode")
    findings.problems.append(
        runner.missing("sink_mode", hint) if sink is None else sink.problem(f"is {quoted(sink.data)}", hint)
    )
