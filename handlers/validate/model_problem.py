"""What pydantic has against a part of a YAML file, as a problem at its line and column."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from handlers.validate.document import Place
from handlers.validate.problem import Problem, quoted


def problem_of(section: Place, model: type[BaseModel], details: ErrorDetails) -> Problem:
    """Return the problem that pydantic's `details` describe, at its place in `section`, which is to be a `model`."""
    place = section
    for step in details["loc"]:
        within = next((inner for inner in place if inner.name == str(step)), None)
        if within is None:
            break
        place = within
    if details["type"] == "extra_forbidden":
        return place.key_problem("is not a key that glmd knows", _meant(place.name, _known(model, details)))
    if details["type"] == "missing":
        return place.missing(str(details["loc"][-1]))
    return place.problem(message_of(details))


def message_of(details: ErrorDetails) -> str:
    """Return what is wrong with a value."""
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        return str(context["error"])
    if details["type"] in {"literal_error", "enum"}:
        return f"{quoted(details['input'])} is not known here; write {context['expected']}"
    if details["type"] in {"model_type", "dict_type"}:
        return f"{quoted(details['input'])} is not a mapping"
    message = details["msg"]
    return f"{quoted(details['input'])} does not fit: {message[0].lower()}{message[1:]}"


def _known(model: type[BaseModel], details: ErrorDetails) -> list[str]:
    """Return the keys that there are beside the one that nobody knows."""
    for step in details["loc"][:-1]:
        if isinstance(step, str):
            model = next(_models(model.model_fields[step].annotation), BaseModel)
    return list(model.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation: itself, or what is in its tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _meant(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean `{close[0]}`?" if close else "it may be " + ", ".join(known)
