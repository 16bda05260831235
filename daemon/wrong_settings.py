"""What is wrong with a settings file, with line and column as for any YAML, or with an environment variable."""

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from handlers.errors import BadInputError
from handlers.validate.document import Document, parse
from handlers.validate.model_problem import meant, message_of, problem_of
from handlers.validate.problem import ConfigError, Problem

_PREFIX = "GLMD_"


class SettingsError(BadInputError):
    """The settings file or an override cannot be used."""


class WrongSettingsError(SettingsError, ConfigError):
    """The settings file has problems, each with line and column."""


def unreadable(path: Path, error: Exception) -> SettingsError:
    """Return what is wrong with a file that cannot be loaded."""
    if isinstance(error, OSError):
        return SettingsError(f"{path}: the settings cannot be read: {error.strerror}; mend that, or name another file")
    try:
        problems = parse(path.read_bytes(), str(path)).problems
    except ConfigError as found:
        problems = found.problems
    return WrongSettingsError(str(path), problems) if problems else SettingsError(f"{path}: {error}")


def refused(path: Path | None, model: type[BaseModel], error: ValidationError) -> SettingsError:
    """Return what `model` has against the file, if there is one, and against the environment."""
    document = None if path is None else _document(path)
    problems, lines = [], []
    for details in error.errors(include_url=False):
        variable = _variable(details)
        if document is None or variable:
            where = variable or ".".join(map(str, details["loc"])) or "settings"
            lines.append(f"{where}: {_without_value(details) if _is_secret(details) else message_of(details)}")
        else:
            problems.append(_problem(document, model, details))
    if lines or path is None:
        rendered = [problem.render(str(path)) for problem in problems]
        return SettingsError("\n".join(["the settings cannot be used", *lines, *rendered]))
    return WrongSettingsError(str(path), problems)


def refuse_keys(path: Path, data: Mapping[object, object], known: Collection[str]) -> None:
    """Raise WrongSettingsError for keys of the file that are no texts, or that pydantic would take in any case.

    It takes them so for the sake of environment variables; of `Inbox` and `inbox` in one file it would drop one.
    """
    wrong = [key for key in data if not isinstance(key, str) or (key not in known and key.lower() in known)]
    if wrong:
        names = {str(key) for key in wrong}
        there = [place for place in _document(path).root if place.name in names]
        problems = [place.key_problem("is not a key that glmd knows", meant(place.name, known)) for place in there]
        raise (
            WrongSettingsError(str(path), problems)
            if problems
            else SettingsError(
                f"{path}: {', '.join(map(repr, wrong))}: not a key that glmd knows; keys are words, as `root:`"
            )
        )


def _document(path: Path) -> Document:
    try:
        return parse(path.read_bytes(), str(path))
    except ConfigError as error:  # what the other reader let pass
        raise WrongSettingsError(str(path), error.problems) from error


def _problem(document: Document, model: type[BaseModel], details: ErrorDetails) -> Problem:
    problem = problem_of(document.root, model, details)
    return replace(problem, message=_without_value(details), excerpt="") if _is_secret(details) else problem


def _without_value(details: ErrorDetails) -> str:
    return 'has to be text: put it in quotes, as "1"' if details["type"] == "string_type" else details["msg"]


def _is_secret(details: ErrorDetails) -> bool:
    """Tell whether it may hold a token: whoever asks for a reload reads what is wrong."""
    return details["loc"][:2] == ("training", "environment")


def _variable(details: ErrorDetails) -> str:
    """Return the environment variable that a wrong value comes from; empty where it is the file's."""
    steps = [str(step) for step in details["loc"]]
    names = (_PREFIX + "__".join(steps[:length]) for length in range(len(steps), 0, -1))
    there = {name.upper(): name for name in os.environ}
    return next((there[name.upper()] for name in names if name.upper() in there), "")
