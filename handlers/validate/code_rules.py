"""What a file would let run that is no part of MindFormers: refused, unless the settings allow it."""

import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from handlers.codes import Code
from handlers.host.reach import reach
from handlers.mindformers.foreign_code import (
    AUTO_REGISTER,
    CLASSES,
    DATA_SET_SCRIPTS,
    KEYS,
    LOAD_FUNCTION,
    LOAD_FUNCTIONS,
    PICKLED_FORMATS,
    REGISTER_PATH,
    ForeignCode,
)
from handlers.mindformers.loaders import FORMATS
from handlers.mindformers.version import Version
from handlers.records.checked import CodeLook
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY
from handlers.validate.input_paths import check_readable
from handlers.validate.problem import Findings, Problem, quoted
from handlers.validate.spots import at, spot

_REFERENCE = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*", re.ASCII)
_WHY = {
    ForeignCode.REGISTER_PATH: "imports Python modules from a directory that the file names",
    ForeignCode.TRUST_REMOTE_CODE: "runs Python modules that lie beside a model, a tokenizer or a data set",
    ForeignCode.PICKLE: "unpickles data, which can run anything",
    ForeignCode.STRESS_TEST: "starts a second training by a shell, of a YAML that glmd has not checked",
}


def check_code(
    root: Place,
    allowed: Collection[ForeignCode],
    version: Version | None,
    findings: Findings,
    *,
    has_register_path: bool,
) -> Path | None:
    """Find whatever makes this version run foreign code; return the directory for `--register_path`, None for none.

    Without a version, whatever makes any run some. With overrides put in, `root` says what runs. `has_register_path`:
    whether the settings name one for all trainings.
    """
    looks = code_looks(root, version)
    findings.looks.extend(looks)
    findings.problems.extend(not_allowed_code(looks, allowed))
    if ForeignCode.REGISTER_PATH not in allowed:
        return None
    _check_references(root, findings, is_somewhere=has_register_path or root.get(REGISTER_PATH) is not None)
    place = root.get(REGISTER_PATH)
    return check_readable(place, findings, directory_only=True) if place is not None and place.data else None


def code_looks(root: Place, version: Version | None) -> tuple[CodeLook, ...]:
    """Return whatever makes this version run foreign code, as it is looked at again. Raises DoesNotAnswerError."""
    return tuple(CodeLook(way=way, at=spot(place)) for place, way in _foreign(root, version))


def not_allowed_code(looks: Iterable[CodeLook], allowed: Collection[ForeignCode]) -> Iterator[Problem]:
    """Yield a problem for each way in which foreign code would run that the settings do not allow."""
    for look in looks:
        if (way := ForeignCode(look.way)) not in allowed:
            hint = f"it {_WHY[way]}: take it out, or have root add it to the settings: training.allow_code: [{way}]"
            yield at(look.at, Code.CONFIG_FOREIGN_CODE, "would run code as the user of glmd", hint)


def registers_classes(root: Place) -> bool:
    """Say whether classes of the file's own come to MindFormers; `register_path` by itself brings none."""
    return any(place.name == AUTO_REGISTER and place.data for place in _places(root))


def _check_references(root: Place, findings: Findings, *, is_somewhere: bool) -> None:
    """Find references that lead out of the register path (MindFormers takes `DIR--module.Class`), or to none."""
    for place in _places(root):
        if place.name != AUTO_REGISTER or not place.data:
            continue
        if not isinstance(place.data, str) or not _REFERENCE.fullmatch(place.data):
            hint = "write module.Class: the module is a file of register_path"
            message = f"{quoted(place.data)} is no class of a module in register_path"
            findings.problems.append(place.problem(Code.CONFIG_FOREIGN_CODE, message, hint))
        elif not is_somewhere:
            findings.problems.append(root.missing(REGISTER_PATH, f"{place.where} imports from there"))


def _foreign(root: Place, version: Version | None) -> Iterator[tuple[Place, ForeignCode]]:
    """Yield each place that makes foreign code run, and how."""
    runs_scripts = version is None or DATA_SET_SCRIPTS.holds(version)
    for place in _places(root):
        value = place.data
        if place.name in KEYS and value:  # as Python takes it: the text 'False' is true
            yield place, KEYS[place.name]
        elif not isinstance(value, str):
            continue
        elif place.name == "type" and value in CLASSES:
            yield place, CLASSES[value]
        elif place.name == LOAD_FUNCTION and value not in LOAD_FUNCTIONS:
            yield place, ForeignCode.TRUST_REMOTE_CODE
        elif place.name == "path" and value in PICKLED_FORMATS:
            yield place, ForeignCode.PICKLE
        elif place.name == "path" and runs_scripts and _may_have_script(place, value):
            yield place, ForeignCode.TRUST_REMOTE_CODE


def _may_have_script(place: Place, path: str) -> bool:
    """Say whether `load_dataset` may find a script: `path` itself, NAME/NAME.py, or one of a data set on a hub.

    Raises DoesNotAnswerError.
    """
    if path.endswith(".py"):
        return True
    if not path.startswith("/"):
        return "data_loader" in place.where and path not in FORMATS
    reach(path)
    return os.path.lexists(posixpath.join(path, f"{posixpath.basename(path.rstrip('/'))}.py"))


def _places(root: Place) -> Iterator[Place]:
    """Yield every place but those in glmd's own section; in what aliases name, once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        for place in waiting.pop():
            if place.where == KEY:
                continue
            yield place
            if id(place.entry.node) not in seen:
                seen.add(id(place.entry.node))
                waiting.append(place)
