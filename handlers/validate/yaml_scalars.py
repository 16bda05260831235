"""Which plain texts of a YAML file are numbers, booleans and the like, as PyYAML has it.

MindFormers reads its files with PyYAML, so YAML 1.1 in PyYAML's own dialect counts here: `on` is True, `010` is 8,
`31_4` is 314, and `5e-5` is a text, because a float needs a dot (and a sign in its exponent).
"""

import math
import re
from collections.abc import Callable

from ruamel.yaml.resolver import BaseResolver

Scalar = str | int | float | bool | None

TAG = "tag:yaml.org,2002:"

_EXPONENT = "(?:[eE][-+][0-9]+)?"
_BASE_60 = "(?::[0-5]?[0-9])+"
_FLOAT = (
    rf"[-+]?[0-9][0-9_]*\.[0-9_]*{_EXPONENT}|\.[0-9][0-9_]*{_EXPONENT}"
    rf"|[-+]?[0-9][0-9_]*{_BASE_60}\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_PATTERNS = {
    "bool": (r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    "float": (_FLOAT, "-+0123456789."),
    "int": (
        rf"[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*{_BASE_60}",
        "-+0123456789",
    ),
    "merge": (r"<<", "<"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "value": (r"=", "="),
}
_TRUE, _FALSE = {"yes", "true", "on"}, {"no", "false", "off"}
_DIGITS = 100
"""No number of a configuration is longer; converting a very long one takes quadratic time."""


class PyYamlResolver(BaseResolver):
    """Gives plain scalars the tags that PyYAML gives them; a date stays a text, as nothing here asks for one."""

    def __init__(self, version: object = None, loader: object = None) -> None:
        del version  # whatever a %YAML directive says: PyYAML does not look at it either
        super().__init__(loader)

    @property
    def processing_version(self) -> tuple[int, int]:
        """What the scanner goes by."""
        return 1, 1


for _name, (_pattern, _first) in _PATTERNS.items():
    PyYamlResolver.add_implicit_resolver_base(TAG + _name, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def is_text(text: str) -> bool:
    """Say whether PyYAML takes `text`, without quotes, for a text, and not for a number or the like."""
    return not any(re.fullmatch(pattern, text) for pattern, _ in _PATTERNS.values())


def scalar(tag: str, text: str) -> Scalar:
    """Return the value of a scalar; raises ValueError when `text` is none of that tag, KeyError for an unknown tag."""
    construct = _CONSTRUCTORS[tag.removeprefix(TAG)]
    return construct(text)


def _null(_text: str) -> None:
    return None


def _bool(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{text[:_DIGITS]!r} is neither True nor False")
    return word in _TRUE


def _int(text: str) -> int:
    sign, digits = _number(text)
    if digits.startswith(("0b", "0x")):
        return sign * int(digits, 0)
    if ":" in digits:
        return sign * sum(int(part) * int(60**power) for power, part in enumerate(reversed(digits.split(":"))))
    return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)


def _float(text: str) -> float:
    sign, digits = _number(text.lower())
    if digits == ".nan":
        return math.nan  # this one object: a document must equal itself
    if digits == ".inf":
        return sign * math.inf
    return sign * sum(float(part) * 60.0**power for power, part in enumerate(reversed(digits.split(":"))))


def _number(text: str) -> tuple[int, str]:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text)} characters is too long")
    digits = text.replace("_", "")
    return (-1 if digits.startswith("-") else 1), digits.lstrip("+-")


_CONSTRUCTORS: dict[str, Callable[[str], Scalar]] = {
    "str": str,
    "null": _null,
    "bool": _bool,
    "int": _int,
    "float": _float,
}
