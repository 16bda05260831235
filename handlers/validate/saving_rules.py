"""What the checkpoint callback must say so that glmd finds and merges the shards it writes."""

from dataclasses import dataclass

from handlers.codes import Code
from handlers.mindformers.dialect import DIALECTS, Dialect
from handlers.validate.continue_from import is_prefix
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.mindformers_rules import sink_size, sinks, whole
from handlers.validate.problem import Findings, quoted

_SPELLINGS = tuple(dict.fromkeys(dialect.checkpoint_callback for dialect in DIALECTS))
_KEPT = 5
"""MindSpore's keep_checkpoint_max."""


@dataclass(frozen=True)
class Saving:
    """What the callback will write: files `{prefix}_rank_N-{epoch}_{step}.ckpt`."""

    prefix: str
    kept: int
    """How many tags stay on disk."""
    network: bool
    """Whether a second file without optimizer state is written beside each."""
    place: Place
    """Where to point at when it is too much."""
    steps: Place | None = None
    """How often is saved; None (a problem) where that is not said."""


def check_saving(root: Place, section: GlmdSection, dialect: Dialect, findings: Findings) -> Saving | None:
    """Return what will be saved; None (a problem then) where there is no one checkpoint callback."""
    callback = _callback(root, dialect, findings)
    if callback is None:
        return None
    _check_frequency(callback, findings)
    _check_files(callback, findings)
    _check_form(root, callback, dialect, findings)
    _check_tag(root, section, dialect, findings)
    kept = whole(callback, "keep_checkpoint_max", _KEPT, findings, least=0)
    network = callback.get("save_network_params")
    return Saving(
        prefix=_prefix(callback, findings),
        kept=kept or 1,  # MindSpore's own reading of 0
        network=dialect.saves_network if network is None else network.data is not False,
        place=callback.get("keep_checkpoint_max") or callback,
        steps=callback.get("save_checkpoint_steps"),
    )


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


def _check_frequency(callback: Place, findings: Findings) -> None:
    if callback.get("save_checkpoint_steps") is None:
        hint = "after how many steps to save; the end of the training is saved in any case"
        findings.problems.append(callback.missing("save_checkpoint_steps", hint))
    whole(callback, "save_checkpoint_steps", 1, findings)


def _check_files(callback: Place, findings: Findings) -> None:
    refused = {
        "directory": "the shards must lie in the job's own output/checkpoint: remove it",
        "enc_key": "encrypted shards cannot be merged: remove it",
        "remove_redundancy": "shards without their replicas are not merged in this version of glmd: set it to False",
    }
    for key, hint in refused.items():
        place = callback.get(key)
        if place is not None and place.data is not False and place.data != "":
            findings.problems.append(
                place.problem(Code.CONFIG_SAVING_FORM, f"{quoted(place.data)} is not possible here", hint)
            )
    written = callback.get("checkpoint_format")
    if written is not None and written.data != "ckpt":
        findings.problems.append(
            written.problem(
                Code.CONFIG_SAVING_FORM, f"{quoted(written.data)} is not in this version of glmd", "write ckpt"
            )
        )


def _prefix(callback: Place, findings: Findings) -> str:
    place = callback.get("prefix")
    if place is None:
        findings.problems.append(callback.missing("prefix", "the first part of the shards' names, as glm-6b"))
    elif not isinstance(place.data, str) or not is_prefix(place.data):
        hint = "letters, digits and . _ + - after a letter or digit: it becomes part of file names"
        findings.problems.append(place.problem(Code.CONFIG_PREFIX, f"{quoted(place.data)} is no prefix", hint))
    else:
        return place.data
    return ""


def _check_form(root: Place, callback: Place, dialect: Dialect, findings: Findings) -> None:
    """Find what makes MindFormers save in a form that glmd does not merge, other than the callback's own keys."""
    legacy = root.get("use_legacy")
    if dialect.mcore_saves_safetensors and legacy is not None and legacy.data is False:
        hint = "it saves .safetensors, whatever the callback says"
        findings.problems.append(legacy.problem(Code.CONFIG_SAVING_FORM, "False is not in this version of glmd", hint))
    if not dialect.has_new_checkpoints:
        return
    hint = "it saves whole iterations in another form: leave it out"
    if section := root.get("checkpoint"):
        findings.problems.append(section.key_problem(Code.CONFIG_SAVING_FORM, "is not in this version of glmd", hint))
    keys = ("use_legacy_format", "ckpt_use_legacy_format")
    for place in (*map(root.get, keys), callback.get("use_legacy_format")):
        if place is not None and place.data is False:
            findings.problems.append(
                place.problem(Code.CONFIG_SAVING_FORM, "False is not in this version of glmd", hint)
            )


def _check_tag(root: Place, section: GlmdSection, dialect: Dialect, findings: Findings) -> None:
    """Warn of a tag that the run will not write: it would wait for shards that never come."""
    asked = root.get(KEY, "merge", "tag")
    if asked is None or section.merge.tag == "last":
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
