"""Saves in MindFormers' new format: whether a file asks for them, and what its section `checkpoint` must say.

Read in MindFormers 1.9: trainer/utils.py (convert_checkpoint_config, validate_checkpoint_config) and
trainer/base_trainer.py, where what the section says is put over what the callback says.
"""

from dataclasses import dataclass

from handlers.codes import Code
from handlers.mindformers.dialect import Dialect, NewFormat
from handlers.mindformers.keys import NEW_CHECKPOINTS
from handlers.validate.document import Place
from handlers.validate.mindformers_rules import Parallel, is_true, whole
from handlers.validate.model_problem import meant
from handlers.validate.problem import Findings, quoted

SECTION = "checkpoint"
_OLD_NAMES = {old: new for new, old in NEW_CHECKPOINTS.items() if old}
_SWITCHES = ("async_save", "load_balanced", "no_load_optim", "no_save_optim", "save_remove_redundancy")


@dataclass(frozen=True)
class SavingKeys:
    """Where it is said how saves are made: in the callback, but for what the section `checkpoint` says."""

    callback: Place
    section: Place | None
    """None where there is no such section, or it is not looked at."""

    def get(self, key: str) -> Place | None:
        """Return what holds for the callback's `key`; None where nothing is said."""
        parent, name = self.parent(key)
        return parent.get(name)

    def parent(self, key: str) -> tuple[Place, str]:
        """Return where the callback's `key` is said, or would be, and under which name."""
        name = _OLD_NAMES.get(key)
        if name is not None and self.section is not None and self.section.get(name) is not None:
            return self.section, name
        return self.callback, key


def asks_for_iterations(root: Place, callback: Place, dialect: Dialect, findings: Findings) -> bool:
    """Say whether whole iterations are saved; add a problem where that is in a way that glmd does not go."""
    key, old, own = root.get("use_legacy_format"), root.get("ckpt_use_legacy_format"), callback.get("use_legacy_format")
    match dialect.new_format:
        case NewFormat.NONE:
            return False
        case NewFormat.BY_CALLBACK:
            for place in (old, own):
                if place is not None and place.data is False:
                    hint = "glmd merges and resumes what MindFormers 1.8 and newer save in that format: leave it out"
                    findings.problems.append(
                        place.problem(Code.CONFIG_SAVING_FORM, "False is not in this version of glmd", hint)
                    )
            return False
        case NewFormat.BY_KEY | NewFormat.BY_SECTION:
            if own is not None and own.data is False:
                hint = (
                    f"MindFormers {dialect.name} reads only the key at the top of the file: set use_legacy_format there"
                )
                findings.warnings.append(own.key_problem(Code.CONFIG_NO_EFFECT, "has no effect", hint))
    has_section = dialect.new_format is NewFormat.BY_SECTION and bool(_data(root.get(SECTION)))
    return has_section or (key is not None and key.data is False)


def read_section(root: Place, dialect: Dialect, findings: Findings) -> Place | None:
    """Return the section `checkpoint`, checked; None where this version has no such section, or it is empty."""
    section = root.get(SECTION) if dialect.new_format is NewFormat.BY_SECTION else None
    if section is None or not _data(section):
        return None
    if not isinstance(section.data, dict):
        findings.problems.append(section.problem(Code.CONFIG_NOT_A_MAPPING, f"{quoted(section.data)} is not a mapping"))
        return None
    for inner in section:
        if inner.name not in NEW_CHECKPOINTS:
            hint = f"MindFormers {dialect.name} ignores it: {meant(inner.name, NEW_CHECKPOINTS)}"
            findings.warnings.append(inner.key_problem(Code.CONFIG_NO_EFFECT, "has no effect", hint))
    for key in _SWITCHES:
        place = section.get(key)
        if place is not None and not isinstance(place.data, bool):
            findings.problems.append(
                place.problem(Code.CONFIG_SAVING_FORM, f"{quoted(place.data)} is neither True nor False")
            )
    whole(section, "reshard_worker_num", 1, findings)
    return section


def check_iterations(root: Place, keys: SavingKeys, findings: Findings) -> bool:
    """Say whether the optimizer's state is saved, and find what this format does not go with."""
    resume = root.get("resume_training")
    if resume is not None and isinstance(resume.data, str):
        hint = "with saves in the new format MindFormers takes True or False; checkpoint.load_path says from where"
        findings.problems.append(resume.problem(Code.CONFIG_SAVING_FORM, f"{quoted(resume.data)} is a name", hint))
    without = _without_optimizer(keys)
    if without is not None:
        hint = "then glmd cannot resume a training that fails: all of it is lost"
        findings.warnings.append(
            without.problem(Code.CONFIG_NOT_RESUMABLE, "saves without the optimizer cannot be resumed from", hint)
        )
    _check_second_files(keys.callback, findings)
    _check_health(root, findings)
    return without is None


def _without_optimizer(keys: SavingKeys) -> Place | None:
    """Return where it is said that the optimizer's state is not saved; None where it is."""
    place = None if keys.section is None else keys.section.get("no_save_optim")
    if place is not None:
        return place if place.data is True else None
    own = keys.callback.get("save_optimizer")
    return own if own is not None and own.data is False else None


def _check_second_files(callback: Place, findings: Findings) -> None:
    for key in ("save_network_params", "save_trainable_params"):
        if is_true(callback, key):
            hint = "in the new format MindFormers writes no second files"
            findings.warnings.append(callback[key].key_problem(Code.CONFIG_NO_EFFECT, "has no effect", hint))


def _check_health(root: Place, findings: Findings) -> None:
    """Warn of what makes MindFormers look for saves to go on from in the place where it writes, which is new then."""
    threshold = root.get("monitor_config", "health_checkpoint", "embedding_local_norm_threshold")
    asked = root.get("use_checkpoint_health_monitor")
    place = threshold if threshold is not None and threshold.data else asked
    if place is None or not place.data:
        return
    hint = "MindFormers then resumes only from its own output, and each attempt of a job has a new one"
    findings.warnings.append(
        place.problem(Code.CONFIG_NOT_RESUMABLE, "saves that are watched cannot be resumed from", hint)
    )


def check_layouts(place: Place, parallel: Parallel, findings: Findings) -> None:
    """Warn where MindSpore has no layouts to give, which this format describes slices with; `place` asks for it."""
    if parallel.by_strategy or parallel.ranks == 1:
        return
    hint = "MindFormers 1.9 asks MindSpore how the network is cut, which may know nothing of it: set parallel_mode: 1"
    findings.warnings.append(
        place.key_problem(Code.CONFIG_SAVING_FORM, "may fail at the first save of a data parallel run", hint)
    )


def _data(place: Place | None) -> object:
    return None if place is None else place.data
