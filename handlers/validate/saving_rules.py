"""What the checkpoint callback must say so that glmd finds and merges the shards it writes."""

import re
from dataclasses import dataclass

from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.mindformers_rules import is_true, whole
from handlers.validate.problem import Findings, quoted

CALLBACKS = ("CheckpointMointor", "CheckpointMonitor")
"""The first (sic) up to MindFormers 1.0, the second from 1.1 on."""

_PREFIX = re.compile(r"\w[\w.+-]{0,99}")
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


def check_saving(root: Place, section: GlmdSection, findings: Findings) -> Saving | None:
    """Return what will be saved; None (a problem then) where there is no one checkpoint callback."""
    callback = _callback(root, findings)
    if callback is None:
        return None
    _check_frequency(callback, findings)
    _check_files(callback, findings)
    _check_tag(root, section, findings)
    kept = whole(callback, "keep_checkpoint_max", _KEPT, findings, least=0)
    network = callback.get("save_network_params")
    return Saving(
        prefix=_prefix(callback, findings),
        kept=kept or 1,  # MindSpore's own reading of 0
        network=network is None or network.data is not False,
        place=callback.get("keep_checkpoint_max") or callback,
        steps=callback.get("save_checkpoint_steps"),
    )


def _callback(root: Place, findings: Findings) -> Place | None:
    callbacks = root.get("callbacks")
    if callbacks is None:
        findings.problems.append(root.missing("callbacks", f"a {CALLBACKS[0]} is needed: without it nothing is saved"))
        return None
    savers = [place for place in callbacks if (kind := place.get("type")) and kind.data in CALLBACKS]
    if not savers:
        hint = f"add `- type: {CALLBACKS[0]}` with prefix and save_checkpoint_steps ({CALLBACKS[1]} from 1.1 on)"
        findings.problems.append(callbacks.key_problem("none of them saves checkpoints", hint))
        return None
    for second in savers[1:]:
        findings.problems.append(second.key_problem("a second checkpoint callback", "one prefix, one set of shards"))
    return savers[0]


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
            findings.problems.append(place.problem(f"{quoted(place.data)} is not possible here", hint))
    written = callback.get("checkpoint_format")
    if written is not None and written.data != "ckpt":
        findings.problems.append(
            written.problem(f"{quoted(written.data)} is not in this version of glmd", "write ckpt")
        )


def _prefix(callback: Place, findings: Findings) -> str:
    place = callback.get("prefix")
    if place is None:
        findings.problems.append(callback.missing("prefix", "the first part of the shards' names, as glm-6b"))
    elif not isinstance(place.data, str) or not _PREFIX.fullmatch(place.data):
        hint = "letters, digits and . _ + - after a letter or digit: it becomes part of file names"
        findings.problems.append(place.problem(f"{quoted(place.data)} is no prefix", hint))
    else:
        return place.data
    return ""


def _check_tag(root: Place, section: GlmdSection, findings: Findings) -> None:
    """Warn of a tag that the run will not write: it would wait for shards that never come."""
    asked = root.get(KEY, "merge", "tag")
    if asked is None or section.merge.tag == "last":
        return
    epoch, step = map(int, section.merge.tag.split("_"))
    runner = root.get("runner_config")
    quiet = Findings()
    size, epochs = whole(runner, "sink_size", 0, quiet), whole(runner, "epochs", 0, quiet)
    if is_true(root, "runner_config", "sink_mode"):
        if size and step != size:
            hint = f"with sink_size {size} every tag ends in _{size}"
            findings.warnings.append(asked.problem(f"{section.merge.tag} will not be written", hint))
    elif epochs and epoch > epochs:
        findings.warnings.append(asked.problem(f"{section.merge.tag} will not be written", f"epochs is {epochs}"))
