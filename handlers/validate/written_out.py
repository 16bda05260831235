"""Writing plain data as YAML that PyYAML reads as the same: a key a line, no aliases."""

import math
import re
from collections.abc import Iterable, Iterator

from handlers.codes import Code
from handlers.validate.document import parse
from handlers.validate.problem import ConfigError, Problem
from handlers.validate.yaml_nodes import Data
from handlers.validate.yaml_scalars import Scalar, is_text

_PLAIN = re.compile(r"[A-Za-z_][\w./-]{0,100}", re.ASCII)
"""What needs no quotes, if it is not a number or the like."""
_STEP = "  "


def written_out(data: dict[Scalar, Data], notes: Iterable[str] = ()) -> bytes:
    """Return `data` as YAML, below `notes` as comments. Raises ConfigError where it would be read as something else."""
    lines = [*(f"# {note}" for note in notes), *(_mapping(data, "") if data else ["{}"]), ""]
    content = "\n".join(lines).encode()
    if parse(content, "config.yaml", len(content)).root.data != data:
        problem = Problem(1, 1, "", "cannot be written as YAML", code=Code.CONFIG_OVERRIDE)
        raise ConfigError("config.yaml", [problem])
    return content


def _mapping(data: dict[Scalar, Data], indent: str) -> Iterator[str]:
    for key, value in data.items():
        head = f"{indent}{_scalar(key)}:"
        if isinstance(value, dict | list) and value:
            yield head
            yield from _inside(value, indent + _STEP)
        else:
            yield f"{head} {_single(value)}"


def _inside(value: dict[Scalar, Data] | list[Data], indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _mapping(value, indent)
        return
    for element in value:
        if isinstance(element, dict | list) and element:
            first, *rest = _inside(element, indent + _STEP)
            yield f"{indent}- {first.removeprefix(indent + _STEP)}"
            yield from rest
        else:
            yield f"{indent}- {_single(element)}"


def _single(value: Data) -> str:
    if isinstance(value, dict):
        return "{}"
    return "[]" if isinstance(value, list) else _scalar(value)


def _scalar(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and is_text(value) else _in_quotes(value)
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    mantissa, exponent, power = repr(value).partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + exponent + power  # without a dot it would be a text


def _in_quotes(text: str) -> str:
    """Return `text` in double quotes, with escaped what YAML, or a line, cannot hold."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"
