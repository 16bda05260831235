"""A nightly cycle's trigger: drops its YAML into the inbox, like any user."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import publish_bytes
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.host.reach import reach
from handlers.inputs.hashing import ChangedError
from handlers.inputs.search import By, Search
from handlers.inputs.unchanged import Earlier, are_those_of
from handlers.placeholders import Word, fill
from handlers.run_names import run_name
from handlers.validate.glmd_section import MOST_INPUTS

_MOST = 64 << 20
"""Bytes of a template: as many as `inbox.max_bytes` may allow."""
_NOTHING_TO_GO_BY = "if_unchanged: skip has nothing to compare: name inputs, or write {newest:…} into the template"
_BY = {Word.NEWEST: By.TIME, Word.NEWEST_BY_NAME: By.NAME}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every YAML of a cycle is made by."""

    name: str
    """Of the cycle."""
    template: Path
    devices: str | None = None
    continue_from: str | None = None
    inputs: tuple[str, ...] = ()
    """Patterns of the files that it is trained on; without any, they are what `{newest:…}` stands for."""
    allowed: tuple[Path, ...] = (Path("/"),)
    """Where those may lie."""
    may_skip: bool = False
    """Whether a night is left out whose inputs are those of the run before."""


@dataclass(frozen=True)
class Night:
    """A template, filled in."""

    run: str
    """Its name."""
    content: bytes
    inputs: tuple[Path, ...]
    notes: tuple[str, ...]
    """What somebody should know of how it was made."""


@dataclass(frozen=True)
class Dropped:
    """What was put into the inbox."""

    path: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unchanged:
    """Nothing was dropped: the inputs are those of an earlier run."""

    reason: str


def drop(recipe: Recipe, inbox: Path, scheduled: datetime, earlier: Earlier | None = None) -> Dropped | Unchanged:
    """Publish the night of `recipe` at `scheduled` in `inbox`, unless it is to be left out as the same as `earlier`.

    The file is called `run_name` and `.yaml`, so dropping a run again gives the same. Raises as `filled_in` does.
    """
    night = filled_in(recipe, scheduled)
    if recipe.may_skip and earlier is not None and night.inputs and _are_those_of(earlier, night.inputs, recipe):
        others = f" and {len(night.inputs) - 1} more" if len(night.inputs) > 1 else ""
        return Unchanged(f"inputs unchanged since job {earlier.job}: {night.inputs[0]}{others}")
    path = inbox / f"{night.run}.yaml"
    publish_bytes(path, night.content)
    return Dropped(path, night.notes)


def filled_in(recipe: Recipe, scheduled: datetime) -> Night:
    """Return the YAML of `recipe` for the time `scheduled`, which is in the cycle's zone.

    Placeholders are filled in. What is given of `devices` and `continue_from`, and what the inputs are, goes into the
    `glmd:` section, made where there is none; all else, anchors and comments too, stays. Raises BadInputError for a
    template that cannot be used and for inputs that are not there, DoesNotAnswerError, and ValueError as `run_name`.
    """
    run, search = run_name(recipe.name, scheduled), Search(recipe.allowed)
    found: dict[Path, None] = {}

    def answer(word: Word, pattern: str) -> str:
        if word is Word.DATE:
            return f"{scheduled:%Y-%m-%d}"
        if word is Word.NIGHT:
            return run
        newest = search.newest(pattern, _BY[word])
        found.update(dict.fromkeys(newest.files))
        return str(newest.path)

    with _errors_of(recipe.template):
        text = fill(_text(recipe), answer, str(recipe.template))
        if recipe.inputs:
            named = (data_set for pattern in recipe.inputs for data_set in search.every(pattern))
            found = dict.fromkeys(file for data_set in named for file in data_set.files)
        values = {"devices": recipe.devices, "continue_from": recipe.continue_from}
        values = {key: value for key, value in values.items() if value is not None}
        if not (values or found or recipe.may_skip):
            return Night(run, text.encode(), (), ())
        document, section = _loaded(text, recipe.template)
        inputs = _with_own(section, found, recipe)
        section.update(values | ({"inputs": inputs} if inputs else {}))
        notes = search.passed_over + ([] if inputs or not recipe.may_skip else [_NOTHING_TO_GO_BY])
        return Night(run, _dumped(document), tuple(map(Path, inputs)), tuple(notes))


@contextlib.contextmanager
def _errors_of(template: Path) -> Iterator[None]:
    """Let what ruamel finds wrong with a YAML in the block be said of `template`."""
    try:
        yield
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{template}:{mark.line + 1}:{mark.column + 1}" if mark else str(template)
        raise BadInputError(f"{place}: {error.problem}", Code.NIGHT_TEMPLATE) from error
    except (YAMLError, RecursionError) as error:
        raise BadInputError(f"{template}: {error}", Code.NIGHT_TEMPLATE) from error


def _text(recipe: Recipe) -> str:
    reach(recipe.template.absolute())
    try:
        return read_bounded(recipe.template, _MOST).decode("utf-8")
    except (OSError, DamagedFileError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"nightly cycle {recipe.name}: template {recipe.template} cannot be read: {error}", Code.NIGHT_TEMPLATE
        ) from error


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20  # never fold a line: paths and prompts stay as they were
    return yaml


def _loaded(text: str, template: Path) -> tuple[CommentedMap, CommentedMap]:
    """Return what `text` holds and its `glmd:` section, made where there is none. Raises ruamel's YAMLError."""
    try:
        document = _yaml().load(text)
    except ValueError as error:  # for a date that no calendar has
        raise BadInputError(f"{template}: {error}", Code.NIGHT_TEMPLATE) from error
    if not isinstance(document, CommentedMap):
        raise BadInputError(f"{template}: a training's YAML is a mapping of names to values", Code.NIGHT_TEMPLATE)
    if document.get("glmd") is None:
        document["glmd"] = CommentedMap()
    section = document["glmd"]
    if not isinstance(section, CommentedMap):
        raise BadInputError(f"{template}: glmd must be a mapping, not {section!r}", Code.NIGHT_TEMPLATE)
    return document, section


def _dumped(document: CommentedMap) -> bytes:
    stream = io.StringIO()
    _yaml().dump(document, stream)
    return stream.getvalue().encode()


def _with_own(section: CommentedMap, found: Iterable[Path], recipe: Recipe) -> list[str]:
    """Return the inputs that were found, beside those that the template names itself where the cycle names none."""
    own = section.get("inputs")
    named = [str(item) for item in own] if isinstance(own, list) and not recipe.inputs else []
    inputs = [*dict.fromkeys([*named, *map(str, found)])]
    if len(inputs) > MOST_INPUTS:
        raise BadInputError(
            f"nightly cycle {recipe.name}: it has {len(inputs)} inputs; {MOST_INPUTS} are the most", Code.NIGHT_INPUT
        )
    return inputs


def _are_those_of(earlier: Earlier, inputs: tuple[Path, ...], recipe: Recipe) -> bool:
    try:
        return are_those_of(earlier, inputs)
    except ChangedError as error:
        raise BadInputError(
            f"nightly cycle {recipe.name}: an input changed while it was looked at: {error}", Code.NIGHT_INPUT
        ) from error
