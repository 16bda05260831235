"""The weights that a training starts from: what the YAML names, a path, or the newest published result."""

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from handlers.ckpt.files.durable import make_directory, publish_symlink
from handlers.ckpt.planning.output import FILTERED, INDEX, MODEL
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.mindformers.dialect import Dialect
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.mindformers_rules import Parallel, sinks
from handlers.validate.problem import Findings, quoted
from handlers.validate.published_form import Loader, can_be_continued, format_of, why_not_loaded
from handlers.validate.weight_forms import (
    SAFETENSORS,
    Form,
    Loading,
    check_base_model,
    check_form,
    how_loaded,
    place_to_load,
    warn_of_whole,
)

MERGED, SINGLE = FILTERED, f"{MODEL}{SAFETENSORS}"
"""What a merge writes, if not several files with an index."""


class NoBaseError(BadInputError):
    """What `continue_from` names is not there, though it has to be: to begin without it would go unnoticed."""

    code = Code.PROMOTION_GONE

    def __init__(self, what: str, hint: str, code: Code) -> None:
        super().__init__(f"continue_from: {what}; {hint}", code)
        self.what = what
        self.hint = hint


def weights_to_load(
    section: GlmdSection, prefix: str, latest: Path | None, own: Mapping[str, Path] = MappingProxyType({})
) -> Path | None:
    """Return what `continue_from` means now, for --load_checkpoint; None leaves it to the YAML's load_checkpoint.

    `latest` with nothing published yet leaves it to the YAML too: that is a nightly cycle's first night. `latest` is
    ROOT/latest; `own` has, by prefix, the directory of what the run's own nightly cycle has promoted last, which goes
    before what others have. Raises NoBaseError, and OSError.
    """
    if section.continue_from.startswith("/"):
        return Path(section.continue_from)
    name = published_name(section, prefix)
    if not name or latest is None:
        return None
    if section.continue_from == "latest" and name in own:
        return _merged_in(own[name], f"{own[name]}, which its nightly cycle has promoted last,", name)
    link = latest / name
    if os.path.lexists(link):
        return _merged_in(link, f"{latest.name}/{name}", name)
    if name == prefix:
        return None
    there = ", ".join(sorted(path.name for path in latest.glob("[!.]*"))) or "nothing"
    raise NoBaseError(
        f"nothing of prefix {name} is published", f"there is: {there}; or `latest`, `none`, or an absolute path",
        Code.CONFIG_CONTINUE_FROM,
    )  # fmt: skip


def published_name(section: GlmdSection, prefix: str) -> str:
    """Return the prefix of whose published outputs the run is to go on from one; empty where of none."""
    wish = section.continue_from
    if wish == "latest":
        return prefix
    return "" if wish == "none" or wish.startswith("/") else wish


def _merged_in(directory: Path, what: str, prefix: str) -> Path:
    """Return the merged file that is published there, or the index of several: itself, not a link that may lead away.

    Raises NoBaseError where there is none.
    """
    for name in (MERGED, SINGLE, INDEX):
        try:
            return Path(os.path.realpath(directory / name, strict=True))
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise
    hint = f"put it back, or let latest/{prefix} lead to another: glmd rollback {prefix}"
    raise NoBaseError(f"{what} has no {MERGED} any more, nor {SINGLE}", hint, Code.PROMOTION_GONE)


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


def check_weights(
    root: Place,
    section: GlmdSection,
    run_mode: str,
    parallel: Parallel,
    published: Path | None,
    dialect: Dialect,
    findings: Findings,
    *,
    is_iteration: bool = False,
) -> None:
    """Find out whether a finetune has weights to start from, and whether they are there and of the right form.

    `published` is what `continue_from` would take now of what is published, and `is_iteration` says that saves, and so
    what is loaded, are in MindFormers' new format. MindFormers sets `checkpoint_name_or_path` of the model aside when
    it trains, so only load_checkpoint counts.
    """
    check_base_model(root, dialect, findings)
    is_cut = parallel.by_strategy and parallel.target == "Ascend"
    loader = Loader(dialect, is_cut=is_cut, is_iteration=is_iteration)
    if section.continue_from == "latest" and not can_be_continued(section.merge, loader):
        message = "will not find what the jobs of this file publish"
        hint = "it cannot start from that: it is in a form that is not loaded, or without the network's weights"
        findings.warnings.append(root[KEY]["continue_from"].problem(Code.CONFIG_CONTINUE_FROM, message, hint))
    if published is None:
        first_night = section.continue_from == "latest"
        is_path = section.continue_from.startswith("/")
        named = place_to_load(root, dialect, is_iteration=is_iteration)
        place = root[KEY]["continue_from"] if is_path else named
        if place is None or place.data is False or place.data == "":
            if run_mode == "finetune":
                _add_missing(root, dialect, findings, first_night=first_night)
            return
        if first_night:
            message = "nothing of this prefix is published yet"
            findings.warnings.append(
                root[KEY]["continue_from"].problem(
                    Code.CONFIG_CONTINUE_FROM, message, "glmd uses load_checkpoint this time"
                )
            )
        loading = how_loaded(root, dialect, findings, is_iteration=is_iteration)
        form = check_form(place, loading, parallel, findings)
    else:
        loading, form = how_loaded(root, dialect, findings, is_iteration=is_iteration), Form.WHOLE
        place = root[KEY]["continue_from"]
        if loader.takes_form:
            loading = replace(loading, suffix=f".{format_of(published)}", cuts=is_cut)
            _check_form_taken(place, published, loader, findings)
        else:
            _check_published(place, published, loading, parallel, findings)
    if is_cut:
        builds_first = dialect.builds_for_any_weights or loading.suffix == SAFETENSORS
        if builds_first or loading.cuts or form is not Form.WHOLE:
            _check_sink(root, dialect, findings)


def _check_form_taken(place: Place, published: Path, loader: Loader, findings: Findings) -> None:
    if hint := why_not_loaded(published, loader):
        findings.problems.append(
            place.problem(Code.CONFIG_WEIGHTS_FORM, f"stands for {published.name}, which is not loaded", hint)
        )


def _check_published(place: Place, published: Path, loading: Loading, parallel: Parallel, findings: Findings) -> None:
    if published.suffix == loading.suffix:
        warn_of_whole(place, loading, parallel, findings)
    else:
        hint = f"load_ckpt_format lets MindFormers look for {loading.suffix}: leave it out"
        findings.problems.append(place.problem(Code.CONFIG_WEIGHTS_FORM, f"stands for a {published.suffix} file", hint))


def _add_missing(root: Place, dialect: Dialect, findings: Findings, *, first_night: bool) -> None:
    needed = dialect.finetune_needs_weights
    hint = "a finetune starts from weights: name a file or directory" if needed else "it begins from random weights"
    if first_night:
        hint += "; nothing is published yet that continue_from: latest could take"
    elif root.get("model", "model_config", "checkpoint_name_or_path"):
        hint += "; in training MindFormers does not look at checkpoint_name_or_path"
    problem = root.missing("load_checkpoint", hint, Code.CONFIG_NO_WEIGHTS)
    (findings.problems if needed else findings.warnings).append(problem)


def _check_sink(root: Place, dialect: Dialect, findings: Findings) -> None:
    """Find what ends MindFormers when it builds a cut network, so that it knows how to cut the weights."""
    runner = root.get("runner_config")
    sink = root.get("runner_config", "sink_mode")
    if runner is not None and not sinks(root, dialect):
        hint = "MindFormers loads weights into a cut network in sink mode only: set it to True"
        findings.problems.append(
            runner.missing("sink_mode", hint, Code.CONFIG_SINK_MODE)
            if sink is None
            else sink.problem(Code.CONFIG_SINK_MODE, f"is {quoted(sink.data)}", hint)
        )
    size = root.get("runner_config", "sink_size")
    if size is not None and size.data == 1 and sinks(root, dialect) and not dialect.builds_with_sink_size_one:
        hint = (
            f"MindFormers {dialect.name} loads weights into a cut network with a sink_size above 1, or -1: with 1 it "
            "raises ValueError when all ranks have built the network"
        )
        findings.problems.append(size.problem(Code.CONFIG_SINK_MODE, "is 1", hint))
