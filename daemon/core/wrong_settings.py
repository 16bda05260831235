"""What is wrong with a settings file, with line and column as for any YAML, or with an environment variable."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from daemon.core.settings import SettingsError
from handlers.codes import Code
from handlers.validate.document import Document
from handlers.validate.model_problem import meant, message_of, problem_of
from handlers.validate.problem import ConfigError, Problem

_PREFIX = "GLMD_"


class WrongSettingsError(SettingsError, ConfigError):
    """The settings file has problems, each with line and column."""

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        super().__init__(name, problems)
        self.code = Code.SETTINGS_UNUSABLE


def unreadable(path: Path, error: Exception) -> SettingsError:
    """Return what is wrong with a file whose bytes cannot be had."""
    if isinstance(error, OSError):
        return SettingsError(f"{path}: the settings cannot be read: {error.strerror}; fix that, or name another file")
    return SettingsError(f"the settings cannot be read: {error}")


def refused(document: Document | None, model: type[BaseModel], error: ValidationError) -> SettingsError:
    """Return what `model` has against the file, if there is one, and against the environment."""
    problems, lines = [], []
    for details in error.errors(include_url=False):
        variable = _variable(details)
        if document is None or variable:
            where = variable or ".".join(map(str, details["loc"])) or "settings"
            lines.append(f"{where}: {_secretive(details) if _is_secret(details) else message_of(details)}")
        else:
            problems.append(_problem(document, model, details))
    if lines or document is None:
        rendered = [problem.render(document.name) for problem in problems] if document else []
        return SettingsError("\n".join(["the settings cannot be used", *lines, *rendered]))
    return WrongSettingsError(document.name, problems)


def refuse_keys(document: Document, data: Mapping[object, object], known: Collection[str]) -> None:
    """Raise WrongSettingsError for keys of the file that are no texts, or that pydantic would take in any case.

    It takes them so for the sake of environment variables; of `Inbox` and `inbox` in one file it would drop one.
    """
    wrong = [key for key in data if not isinstance(key, str) or (key not in known and key.lower() in known)]
    if wrong:
        names = {str(key) for key in wrong}
        there = [place for place in document.root if place.name in names]
        problems = [
            place.key_problem(Code.CONFIG_UNKNOWN_KEY, "is not a key that glmd knows", meant(place.name, known))
            for place in there
        ]
        raise (
            WrongSettingsError(document.name, problems)
            if problems
            else SettingsError(
                f"{document.name}: {', '.join(map(repr, wrong))}: not a key that glmd knows; keys are words, as `root:`"
            )
        )


def _problem(document: Document, model: type[BaseModel], details: ErrorDetails) -> Problem:
    problem = problem_of(document.root, model, details)
    return replace(problem, message=_secretive(details), excerpt="") if _is_secret(details) else problem


def _is_secret(details: ErrorDetails) -> bool:
    """Tell whether it may hold a token: anyone who asks for a reload reads what is wrong."""
    match details["loc"]:
        case ("training", "environment", *_) | ("evaluations", _, "environment", *_):
            return True
        case ("notify", "heartbeat") | ("notify", "destinations", _, "url" | "secret"):
            return True
    return False


def _secretive(details: ErrorDetails) -> str:
    """Return what is wrong with a value without quoting it."""
    if details["type"] == "string_type":
        return 'has to be text: put it in quotes, as "1"'
    return details["msg"].removeprefix("Value error, ")


def _variable(details: ErrorDetails) -> str:
    """Return the environment variable that a wrong value comes from; empty where it is the file's."""
    steps = [str(step) for step in details["loc"]]
    names = (_PREFIX + "__".join(steps[:length]) for length in range(len(steps), 0, -1))
    there = {name.upper(): name for name in os.environ}
    return next((there[name.upper()] for name in names if name.upper() in there), "")
