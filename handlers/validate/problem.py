"""What is wrong with a file, and where: problems with line and column, and how they are shown."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable
from handlers.records.checked import CodeLook, DiskLook, PathLook

_BEFORE, _AFTER = 90, 70
"""How many characters of a line an excerpt shows before and from the caret on."""
_SHOWN = 50
"""How many problems one error shows."""


def visible(text: str, limit: int | None = None) -> str:
    """Return `text` with everything that does not print (terminal escapes, line breaks, direction marks) spelt out.

    With `limit`, at most so many characters of `text` are kept.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return printable(text)


def quoted(value: object, limit: int = 60) -> str:
    """Return `value` of a YAML file as messages show it: short, visible, texts in quotes."""
    if isinstance(value, str):
        return f"'{visible(value, limit)}'"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "empty" if value is None else str(value)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, at `line` and `column` (from 1, in characters)."""

    line: int
    column: int
    where: str
    """The dotted key, as `parallel_config.model_parallel`; empty where it concerns no key."""
    message: str
    hint: str = ""
    """Why, or what would be right."""
    excerpt: str = ""
    """The line of the file."""
    code: Code | None = None
    """Which rule of glmd's it is; None for what others say."""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return visible(f"{self.line}:{self.column}: {where}{self.message}" + (f" ({self.hint})" if self.hint else ""))

    def render(self, name: str) -> str:
        """Return the problem as text for a terminal or a file: where, what, the line, and a caret with the hint."""
        where = f"{visible(self.where, 120)}: " if self.where else ""
        first = f"{visible(name)}:{self.line}:{self.column}: {where}{visible(self.message)}"
        hint = visible(self.hint)
        if not self.excerpt.strip():
            return f"{first}\n  {hint}" if hint else first
        index = self.column - 1
        before = visible(self.excerpt[max(0, index - _BEFORE) : index])
        after = visible(self.excerpt[index : index + _AFTER])
        left = "…" if index > _BEFORE else ""
        right = "…" if len(self.excerpt) > index + _AFTER else ""
        margin = " " * len(str(self.line))
        caret = " " * _width(left + before) + "^" + (f" {hint}" if hint else "")
        return f"{first}\n  {self.line} | {left}{before}{after}{right}\n  {margin} | {caret}"


@dataclass(frozen=True)
class Findings:
    """What a check has found so far: problems refuse the file, warnings go with it."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    looks: list[PathLook | DiskLook | CodeLook] = field(default_factory=list, compare=False)
    """What was looked at on this host, and may be another time: see handlers.validate.looking."""


class ConfigError(BadInputError):
    """A configuration cannot run. `problems` are all that was found, in the order of the file; its code is the first's.

    `against` says which MindFormers it was checked against, where that is to be told.
    """

    def __init__(self, name: str, problems: Iterable[Problem], against: str = "") -> None:
        self.name = name
        self.problems = in_order(problems)
        checked = [f"checked against {against}"] if against else []
        super().__init__("\n".join([render(self.problems, name), *checked]), self.problems[0].code)


def agreement(found: Mapping[str, Findings]) -> Findings:
    """Return what several checks of one file agree upon; `found` is what each has found, by the versions it is for.

    A problem for all versions is one; a problem for some is a warning that names them.
    """
    first: dict[Problem, Problem] = {}
    versions: dict[Problem, list[str]] = {}
    warnings: dict[Problem, Problem] = {}
    for name, findings in found.items():
        for problem in findings.problems:
            first.setdefault(_essence(problem), problem)
        for essence in dict.fromkeys(map(_essence, findings.problems)):
            versions.setdefault(essence, []).append(name)
        for warning in findings.warnings:
            warnings.setdefault(_essence(warning), warning)
    agreed = [first.pop(essence) for essence, names in versions.items() if len(names) == len(found)]
    for essence, problem in first.items():
        hint = f"with MindFormers {', '.join(versions[essence])}"
        warnings[essence] = replace(problem, hint=f"{problem.hint}; so {hint}" if problem.hint else hint)
    return Findings(agreed, list(warnings.values()))


def _essence(problem: Problem) -> Problem:
    """Return what makes two versions' problems the same one: all but what they advise."""
    return replace(problem, hint="")


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return `problems` sorted by their place in the file, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column)))


def render(problems: Sequence[Problem], name: str) -> str:
    """Return `problems` as one text; very many are cut short."""
    shown = [problem.render(name) for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        shown.append(f"… and {len(problems) - _SHOWN} more problems")
    return "\n".join(shown)


def _width(text: str) -> int:
    """Return how many columns of a terminal `text` takes: two for a wide character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
