"""What glmd says to people, out of its code: messages, reasons, findings, `--help`, and the English words of the page.

Every string literal of two words and more is taken for a text, but for docstrings, SQL and regular expressions. A
placeholder of an f-string counts as one word.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from daemon.face.words.language import Language
from daemon.face.words.reading import read_words

HOUSE = Path(__file__).parents[3]
HOLE = "{}"
"""What stands for a placeholder."""
_NO_TEXT = re.compile(r"\\[sdwSWb(\[.]|\b(?:SELECT|ORDER BY|INSERT INTO|WHERE)\b|^#!|^\n?import |^<")


@dataclass(frozen=True)
class Said:
    """A text, and where it stands."""

    where: str
    text: str


@cache
def of_code() -> tuple[Said, ...]:
    """Return the texts of daemon/ and handlers/."""
    found = []
    for room in ("daemon", "handlers"):
        for file in sorted((HOUSE / room).rglob("*.py")):
            where = file.relative_to(HOUSE)
            for line, text in _literals(ast.parse(file.read_text("utf-8"))):
                if " " in text.strip() and not _NO_TEXT.search(text):
                    found.append(Said(f"{where}:{line}", text))
    return tuple(found)


@cache
def of_words() -> tuple[Said, ...]:
    """Return the English texts of daemon/face/words/."""
    return tuple(
        Said(f"{table}.{key}", re.sub(r"\{[^}]*\}", HOLE, text))
        for table, texts in read_words(Language.EN).tables.items()
        for key, text in texts.items()
    )


def _literals(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the literals below `node`, joined ones as one; not docstrings."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        text = _text(child)
        if text is None:
            yield from _literals(child)
            continue
        yield getattr(child, "lineno", 0), text
        for hole in ast.walk(child):
            if isinstance(hole, ast.FormattedValue):
                yield from _literals(hole)


def _text(node: ast.AST) -> str | None:
    """Return the text of a literal; None for what is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        if left is not None or right is not None:
            return (HOLE if left is None else left) + (HOLE if right is None else right)
    return None
