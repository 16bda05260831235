"""What a file says that the MindFormers which is to run it does not know, and whether it is written for another one."""

from collections.abc import Iterator
from dataclasses import dataclass

from handlers.codes import Code
from handlers.mindformers.classes import CHECKPOINT_CALLBACKS, CLASSES, ONLY_PREDICT, Kind
from handlers.mindformers.dialect import Dialect
from handlers.mindformers.keys import CHECKPOINT_CALLBACK, PASSED_OVER, SECTIONS, Section
from handlers.mindformers.version import Lifetime, Version
from handlers.validate.code_rules import registers_classes
from handlers.validate.document import Place
from handlers.validate.model_problem import meant
from handlers.validate.problem import Findings, quoted

_FEWEST_SIGNS = 2
"""One thing that a version does not know may be a slip; so many tell of another version."""


@dataclass(frozen=True)
class _Sign:
    """Something that other versions know."""

    place: Place
    lifetime: Lifetime
    is_refused: bool
    """Whether this version ends over it; else it skips it."""


def check_version(root: Place, dialect: Dialect, version: Version, findings: Findings, *, is_sure: bool = True) -> None:
    """Find what ends this version, as a problem, and what it passes over, as a warning.

    Where it `is_sure` that this version is to run the file, it is said if that was written for another one.
    """
    signs = [
        *_in_sections(root, dialect, version, findings),
        *_classes(root, dialect, version, findings),
        *_passed_over(root, dialect, version, findings),
    ]
    _check_training(root, version, findings)
    _check_second_files(root, dialect, findings)
    if is_sure and len(signs) >= _FEWEST_SIGNS:
        _give_away(root, signs, dialect, findings)


def _give_away(root: Place, signs: list[_Sign], dialect: Dialect, findings: Findings) -> None:
    """Say that the file is for another version, which one, and by what that is seen."""
    since = max(sign.lifetime.since for sign in signs)
    before = min((sign.lifetime.before for sign in signs if sign.lifetime.before is not None), default=None)
    keys = ", ".join(dict.fromkeys(sign.place.where for sign in signs))
    if before is None:
        where = f"{since} and newer"
    elif since >= before:
        where = "no single version"
    else:
        where = f"versions before {before}" if since == Version(0, 0) else f"{since} to before {before}"
    hint = f"these keys show it: {keys}; they are known to {where}, not to MindFormers {dialect.name}"
    problem = root.key_problem(Code.CONFIG_OTHER_MINDFORMERS, "the file is written for another MindFormers", hint)
    (findings.problems if any(sign.is_refused for sign in signs) else findings.warnings).append(problem)


def _in_sections(root: Place, dialect: Dialect, version: Version, findings: Findings) -> Iterator[_Sign]:
    for callback in _savers(root):
        yield from _unknown_keys(callback, CHECKPOINT_CALLBACK, dialect, version, findings)
    for name, section in SECTIONS.items():
        if place := root.get(name):
            yield from _unknown_keys(place, section, dialect, version, findings)


def _unknown_keys(
    place: Place, section: Section, dialect: Dialect, version: Version, findings: Findings
) -> Iterator[_Sign]:
    for inner in place if isinstance(place.data, dict) else ():
        if not section.refused(inner.name, version):
            continue
        lifetime = section.keys.get(inner.name)
        hint = f"MindFormers {dialect.name} takes no such key: remove it"
        if lifetime is not None:
            hint += f"; {lifetime.why_not(version)}"
            yield _Sign(inner, lifetime, is_refused=True)
        else:
            hint += f"; {meant(inner.name, section.keys)}"
        findings.problems.append(inner.key_problem(Code.CONFIG_UNKNOWN_KEY, "is not known", hint))


def _classes(root: Place, dialect: Dialect, version: Version, findings: Findings) -> Iterator[_Sign]:
    # A file that brings classes of its own may bring one that was there once.
    found = findings.warnings if registers_classes(root) else findings.problems
    for kind, names in CLASSES.items():
        for place in _named_by(root, kind):
            lifetime = names.get(place.data) if isinstance(place.data, str) else None
            if lifetime is None or lifetime.holds(version):
                continue
            yield _Sign(place, lifetime, is_refused=found is findings.problems)
            if place.data not in CHECKPOINT_CALLBACKS:  # of which handlers.validate.saving_rules says the right name
                hint = f"MindFormers {dialect.name} has no such class: {lifetime.why_not(version)}"
                found.append(place.problem(Code.CONFIG_NOT_IN_MINDFORMERS, f"{quoted(place.data)} is not known", hint))


def _named_by(root: Place, kind: Kind) -> Iterator[Place]:
    """Yield the places that name a class of this kind."""
    if kind is Kind.CALLBACK:
        yield from filter(None, (callback.get("type") for callback in root.get("callbacks") or ()))
    elif place := root.get(*kind.split(".")):
        yield place


def _savers(root: Place) -> Iterator[Place]:
    for callback in root.get("callbacks") or ():
        if (kind := callback.get("type")) and kind.data in CHECKPOINT_CALLBACKS:
            yield callback


def _passed_over(root: Place, dialect: Dialect, version: Version, findings: Findings) -> Iterator[_Sign]:
    for key, option in PASSED_OVER.items():
        place = root.get(*key.split("."))
        if place is None or option.lifetime.holds(version) or place.data in ("", option.default):
            continue
        hint = f"MindFormers {dialect.name} ignores it: {option.lifetime.why_not(version)}"
        findings.warnings.append(place.key_problem(Code.CONFIG_NO_EFFECT, "has no effect", hint))
        yield _Sign(place, option.lifetime, is_refused=False)


def _check_training(root: Place, version: Version, findings: Findings) -> None:
    """Find a model that this version has, and does not train."""
    model = root.get("model", "arch", "type")
    if model is None or model.data not in ONLY_PREDICT or not CLASSES[Kind.MODEL][model.data].holds(version):
        return
    hint = "MindFormers predicts with it only; GLM-4 is trained as ChatGLM2ForConditionalGeneration"
    findings.problems.append(
        model.problem(Code.CONFIG_NOT_IN_MINDFORMERS, f"{quoted(model.data)} cannot be trained", hint)
    )


def _check_second_files(root: Place, dialect: Dialect, findings: Findings) -> None:
    """Find a second file that is not written beside a third one."""
    for callback in _savers(root):
        both = [callback.get(key) for key in ("save_network_params", "save_trainable_params")]
        if dialect.trainable_excludes_network and all(place is not None and place.data is True for place in both):
            hint = f"with save_trainable_params MindFormers {dialect.name} writes that file alone"
            findings.warnings.append(
                callback["save_network_params"].key_problem(Code.CONFIG_NO_EFFECT, "has no effect", hint)
            )
