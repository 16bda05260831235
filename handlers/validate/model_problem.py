"""What pydantic has against a part of a YAML file, as a problem at its line and column."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from handlers.codes import Code
from handlers.validate.document import Place
from handlers.validate.problem import Problem, quoted

_KINDS = {
    "tuple_type": "list: write [a, b], or each in a line of its own behind `- `",
    "list_type": "list: write [a, b], or each in a line of its own behind `- `",
    "path_type": "path: write it as /a/b",
    "string_type": 'string: put it in quotes, as "1"',
}
"""What a value is to be, by the name that pydantic has for its not being so."""


def problem_of(section: Place, model: type[BaseModel], details: ErrorDetails) -> Problem:
    """Return the problem that pydantic's `details` describe, at its place in `section`, which is to be a `model`."""
    place = section
    for step in details["loc"]:
        within = next((inner for inner in place if inner.name == str(step)), None)
        if within is None:
            break
        place = within
    if details["type"] == "extra_forbidden":
        hint = meant(place.name, _known(model, details))
        return place.key_problem(Code.CONFIG_UNKNOWN_KEY, "is not a key that glmd knows", hint)
    if details["type"] == "missing":
        return place.missing(str(details["loc"][-1]))
    return place.problem(_code_of(details), message_of(details))


def _code_of(details: ErrorDetails) -> Code:
    """Return the code of what is wrong with a value: where our own check raised it, that may say which."""
    code = getattr(details.get("ctx", {}).get("error"), "code", None)
    return code if isinstance(code, Code) else Code.CONFIG_VALUE


def message_of(details: ErrorDetails) -> str:
    """Return what is wrong with a value."""
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        return str(context["error"])
    if details["type"] in {"literal_error", "enum"}:
        return f"{quoted(details['input'])} is not known here; write {context['expected']}"
    if details["type"] in {"model_type", "dict_type"}:
        return f"{quoted(details['input'])} is not a mapping"
    if details["type"] in _KINDS:
        return f"{quoted(details['input'])} does not fit: it is no {_KINDS[details['type']]}"
    message = details["msg"]
    return f"{quoted(details['input'])} does not fit: {message[0].lower()}{message[1:]}"


def _known(model: type[BaseModel], details: ErrorDetails) -> list[str]:
    """Return the keys that there are beside the one that nobody knows."""
    is_name = False
    """Whether the next step is one of the names that a mapping gives to models of one kind."""
    for step in details["loc"][:-1]:
        if isinstance(step, str) and not is_name:
            annotation = model.model_fields[step].annotation
            model, is_name = next(_models(annotation), BaseModel), get_origin(annotation) is dict
        else:
            is_name = False
    return list(model.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation: itself, or what is in its tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def meant(name: str, known: Collection[str]) -> str:
    """Return the hint for a key that nobody knows: which of those that are `known` it may be."""
    close = get_close_matches(name.lower(), known, n=1)
    return f"did you mean `{close[0]}`?" if close else "it may be " + ", ".join(known)
