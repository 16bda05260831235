"""Where in glmd's sources durable steps are taken, found by reading them: so that no new one is forgotten."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.files import durable, staging
from tests.crash.steps import CHECKOUT

_CHANGING = frozenset(
    {
        *("mkdir", "makedirs", "rmdir", "rename", "link", "symlink", "unlink", "remove", "removedirs", "renames"),
        *("fsync", "fdatasync", "chmod", "fchmod", "truncate", "ftruncate", "pwrite", "pwritev", "copy_file_range"),
        *("sendfile", "symlink_to", "hardlink_to", "write_text", "write_bytes", "touch", "rmtree", "copytree"),
        *("copy", "copy2", "copyfile", "mknod", "mkfifo", "setxattr", "utime"),
    }
)
_OF_OS_ALONE = frozenset({"remove", "copy", "link", "truncate"})
"""Names that others have too: lists, dictionaries, streams."""
_OUR_OWN = frozenset(
    {
        name
        for name in vars(durable)
        if not name.startswith("_")
        and callable(getattr(durable, name))
        and getattr(durable, name).__module__ == durable.__name__
    }
    | {name for name in vars(staging.Staging) if not name.startswith("_")}
    | {"publish"}  # of handlers.records.record.Record
) - {"move", "create", "clear", "open_lock"}
_OF_MODULES = _CHANGING | _OUR_OWN | {"replace", "move"}
_WRITING_SQL = ("INSERT", "UPDATE", "DELETE", "REPLACE", "COMMIT")


@dataclass(frozen=True)
class Site:
    """A call in the sources that changes what is on the disk. A step from any of the lines is one of it."""

    file: str
    function: str
    call: str
    first: int
    last: int

    def __str__(self) -> str:
        """Return it as an editor finds it."""
        return f"{self.file}:{self.first} {self.function}: {self.call}"

    def is_in(self, lines: frozenset[str]) -> bool:
        """Say whether a step came from here."""
        return any(f"{self.file}:{line}" in lines for line in range(self.first, self.last + 1))


def sites() -> list[Site]:
    """Return all of daemon/ and handlers/."""
    return [
        site
        for room in ("daemon", "handlers")
        for path in sorted((CHECKOUT / room).rglob("*.py"))
        for site in _of(path)
    ]


def _of(path: Path) -> Iterator[Site]:
    file = str(path.relative_to(CHECKOUT))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    stack: list[tuple[ast.AST, str, ast.AST | None]] = [(tree, "", None)]
    while stack:
        node, name, function = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{name}.{node.name}".lstrip(".")
            function = function if isinstance(node, ast.ClassDef) else node
        if isinstance(node, ast.Call) and (call := _changing(node)):
            where = function if call == "execute" and function is not None else node
            yield Site(file, name, call, where.lineno, where.end_lineno or where.lineno)  # type: ignore[attr-defined]
        stack += [(child, name, function) for child in ast.iter_child_nodes(node)]


def _changing(call: ast.Call) -> str | None:
    """Return the name of what is called, if it changes what is on the disk."""
    match call.func:
        case ast.Attribute(value=ast.Name(id=("os" | "shutil" | "durable")), attr=name) if name in _OF_MODULES:
            return name
        case ast.Attribute(attr="replace") if len(call.args) == 1 and not call.keywords:  # a path's; a string's has two
            return "replace"
        case ast.Attribute(attr=("execute" | "executemany")):
            return "execute" if call.args and _text(call.args[0]).startswith(_WRITING_SQL) else None
        case ast.Attribute(attr=name) if name in (_CHANGING | _OUR_OWN) - _OF_OS_ALONE:
            return name
        case ast.Name(id=name) if name in _OUR_OWN | {"move"}:
            return name
        case _:
            return None


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return _text(first)
        case _:
            return ""
