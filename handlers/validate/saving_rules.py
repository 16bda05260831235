"""What the checkpoint callback must say so that glmd finds and merges the shards it writes."""

from dataclasses import dataclass

from handlers.ckpt.entry import Format
from handlers.codes import Code
from handlers.mindformers.dialect import DIALECTS, Dialect
from handlers.shards.names import LAST, Part
from handlers.validate.continue_from import is_prefix
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.mindformers_rules import sink_size, sinks, whole
from handlers.validate.new_checkpoints import SavingKeys, asks_for_iterations, check_iterations, read_section
from handlers.validate.problem import Findings, quoted

_SPELLINGS = tuple(dict.fromkeys(dialect.checkpoint_callback for dialect in DIALECTS))
_KEPT = 5
"""MindSpore's keep_checkpoint_max."""


@dataclass(frozen=True)
class Saving:
    """What will be written: files `{prefix}_rank_N-{epoch}_{step}.ckpt`, or whole iterations."""

    prefix: str
    kept: int
    """How many tags stay on disk."""
    network: bool
    """Whether a second file without optimizer state is written beside each."""
    place: Place
    """Where to point at when it is too much."""
    steps: Place | None = None
    """How often is saved; None (a problem) where that is not said."""
    format: Format = Format.CKPT
    is_iteration: bool = False
    """Whether each save is a directory of MindFormers' new format."""
    is_shared_out: bool = False
    """Whether ranks leave out what others save (remove_redundancy)."""
    has_optimizer: bool = True
    """Whether the optimizer's state is saved, so that a training can go on from it."""


def check_saving(root: Place, section: GlmdSection, dialect: Dialect, findings: Findings) -> Saving | None:
    """Return what will be saved; None (a problem then) where there is no one checkpoint callback."""
    callback = _callback(root, dialect, findings)
    if callback is None:
        return None
    keys = SavingKeys(callback, read_section(root, dialect, findings))
    is_iteration = asks_for_iterations(root, callback, dialect, findings)
    _check_frequency(keys, findings)
    _check_files(keys, findings)
    form = _format(root, callback, dialect, findings)
    has_optimizer = not is_iteration or check_iterations(root, keys, findings)
    _check_tag(root, section, dialect, findings, is_iteration=is_iteration)
    network = callback.get("save_network_params")
    return Saving(
        prefix=_prefix(keys, findings),
        kept=_kept(keys, findings, least=1 if is_iteration else 0),
        network=not is_iteration and (dialect.saves_network if network is None else network.data is not False),
        place=keys.get("keep_checkpoint_max") or callback,
        steps=keys.get("save_checkpoint_steps"),
        format=Format.SAFETENSORS if is_iteration else form,
        is_iteration=is_iteration,
        is_shared_out=_is_shared_out(keys, form, dialect, findings),
        has_optimizer=has_optimizer,
    )


def _kept(keys: SavingKeys, findings: Findings, least: int) -> int:
    parent, name = keys.parent("keep_checkpoint_max")
    return whole(parent, name, _KEPT, findings, least=least) or 1  # MindSpore's own reading of 0


def _callback(root: Place, dialect: Dialect, findings: Findings) -> Place | None:
    callbacks, right = root.get("callbacks"), dialect.checkpoint_callback
    if callbacks is None:
        hint = f"a {right} is needed: without it nothing is saved"
        findings.problems.append(root.missing("callbacks", hint, Code.CONFIG_CHECKPOINT_CALLBACK))
        return None
    savers = [(place, kind) for place in callbacks if (kind := place.get("type")) and kind.data in _SPELLINGS]
    if not savers:
        hint = f"add `- type: {right}` with prefix and save_checkpoint_steps"
        findings.problems.append(
            callbacks.key_problem(Code.CONFIG_CHECKPOINT_CALLBACK, "none of them saves checkpoints", hint)
        )
        return None
    for second, _ in savers[1:]:
        findings.problems.append(
            second.key_problem(
                Code.CONFIG_CHECKPOINT_CALLBACK, "a second checkpoint callback", "one prefix, one set of shards"
            )
        )
    callback, kind = savers[0]
    if kind.data != right:
        hint = f"in MindFormers {dialect.name} it is called {right}"
        findings.problems.append(
            kind.problem(Code.CONFIG_CHECKPOINT_CALLBACK, f"{quoted(kind.data)} is not known", hint)
        )
    return callback


def _check_frequency(keys: SavingKeys, findings: Findings) -> None:
    parent, name = keys.parent("save_checkpoint_steps")
    if parent.get(name) is None:
        hint = "after how many steps to save; the end of the training is saved in any case"
        findings.problems.append(parent.missing(name, hint))
    whole(parent, name, 1, findings)


def _check_files(keys: SavingKeys, findings: Findings) -> None:
    refused = {
        "directory": "the shards must lie in the job's own output/checkpoint: remove it",
        "enc_key": "encrypted shards cannot be merged: remove it",
    }
    for key, hint in refused.items():
        place = keys.get(key)
        if place is not None and place.data is not False and place.data != "":
            findings.problems.append(
                place.problem(Code.CONFIG_SAVING_FORM, f"{quoted(place.data)} is not possible here", hint)
            )


def _format(root: Place, callback: Place, dialect: Dialect, findings: Findings) -> Format:
    """Return what the callback's own saves are written as."""
    written, legacy = callback.get("checkpoint_format"), root.get("use_legacy")
    if written is not None and written.data not in dialect.formats:
        known = " or ".join(dialect.formats)
        findings.problems.append(
            written.problem(Code.CONFIG_SAVING_FORM, f"{quoted(written.data)} is not known", f"write {known}")
        )
        return Format.CKPT
    if dialect.mcore_saves_safetensors and legacy is not None and legacy.data is False:
        return Format.SAFETENSORS
    return Format.CKPT if written is None else Format(str(written.data))


def _is_shared_out(keys: SavingKeys, form: Format, dialect: Dialect, findings: Findings) -> bool:
    place = keys.get("remove_redundancy")
    if place is None or not place.data:
        return False
    if not dialect.removes_redundancy:
        return False  # handlers.validate.version_rules says that there is no such key
    if form is not Format.SAFETENSORS:
        hint = "MindFormers takes it with the callback's checkpoint_format: safetensors only"
        findings.problems.append(
            place.problem(Code.CONFIG_SAVING_FORM, f"{quoted(place.data)} is not possible with .ckpt", hint)
        )
    return True


def _prefix(keys: SavingKeys, findings: Findings) -> str:
    place = keys.get("prefix")
    if place is None:
        findings.problems.append(
            keys.callback.missing("prefix", "write the first part of the names of the shards, as glm-6b")
        )
    elif not isinstance(place.data, str) or not is_prefix(place.data):
        hint = "letters, digits and . _ + - after a letter or digit: it becomes part of file names"
        findings.problems.append(place.problem(Code.CONFIG_PREFIX, f"{quoted(place.data)} is no prefix", hint))
    else:
        return place.data
    return ""


def _check_tag(root: Place, section: GlmdSection, dialect: Dialect, findings: Findings, *, is_iteration: bool) -> None:
    """Warn of a tag that the run will not write: it would wait for shards that never come."""
    asked = root.get(KEY, "merge", "tag")
    if asked is None or section.merge.tag == LAST:
        return
    is_asked_so = section.merge.tag.startswith(Part.ITERATION)
    if is_asked_so != is_iteration:
        hint = f"saves of this file are called {'iteration_00000124' if is_iteration else 'EPOCH_STEP, as 31_4'}"
        findings.warnings.append(
            asked.problem(Code.CONFIG_TAG_NOT_WRITTEN, f"{section.merge.tag} will not be written", hint)
        )
    if is_asked_so or is_iteration:
        return
    epoch, step = map(int, section.merge.tag.split("_"))
    epochs = whole(root.get("runner_config"), "epochs", 0, Findings())
    if sinks(root, dialect):
        size = sink_size(root, dialect)
        if size > 0 and step != size:
            hint = f"with sink_size {size} every tag ends in _{size}"
            findings.warnings.append(
                asked.problem(Code.CONFIG_TAG_NOT_WRITTEN, f"{section.merge.tag} will not be written", hint)
            )
    elif epochs and epoch > epochs:
        findings.warnings.append(
            asked.problem(
                Code.CONFIG_TAG_NOT_WRITTEN, f"{section.merge.tag} will not be written", f"epochs is {epochs}"
            )
        )
