"""Where two checkpoints differ, for `glmd inspect --diff`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer

from daemon.commands.terminal.progress import progress
from handlers.ckpt import Difference, diff, read_manifest
from handlers.ckpt.looking.diff import Content
from handlers.ckpt.planning.output import TRANSFORMED
from handlers.ckpt.publishing.manifest import NAME
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable, to_json

DIFFERENT = 1


def difference(a: Path, b: Path, *, as_json: bool) -> int:
    """Print where `a` and `b` differ, each a file or what a merge wrote; return the exit code."""
    with progress("diff_progress", "comparing") as shown:
        found = diff(_files(a), _files(b), shown)
    if as_json:
        content = {"same": found.same, "a": str(a), "b": str(b), **asdict(found)}
        content["contents"] = [{**asdict(each), "index": each.index} for each in found.contents]
        typer.echo(to_json(content))
    else:
        for line in _lines(found, a, b):
            typer.echo(printable(line))
    return 0 if found.same else DIFFERENT


def _files(path: Path) -> list[Path]:
    """Return the files that a checkpoint consists of."""
    if not path.is_dir():
        return [path]
    if not (path / NAME).is_file():
        raise BadInputError(
            f"{path}: no {NAME} is there; name a checkpoint file, or a directory that glmd merged into",
            Code.VERIFY_NO_MANIFEST,
        )
    return [path / file.name for file in read_manifest(path / NAME).files if file.name != TRANSFORMED]


def _lines(found: Difference, a: Path, b: Path) -> Iterator[str]:
    for path, names in ((a, found.only_a), (b, found.only_b)):
        yield from (f"only in {path}: {name}" for name in names)
    for described in found.described:
        yield f"{described.name}: {described.a} in {a}, {described.b} in {b}"
    yield from map(_content, found.contents)
    if found.reordered is not None:
        yield f"{found.reordered}: the order differs from here on"
    for key, (one, two) in found.metadata.items():
        yield f"metadata {key}: {one!r} in {a}, {two!r} in {b}"
    verdict = "hold the same" if found.same else "differ"
    yield f"{a} and {b} {verdict}; {found.compared} parameters were compared byte by byte"


def _content(found: Content) -> str:
    where = f"[{', '.join(map(str, found.index))}]"
    far = f", by at most {found.max_abs:.6g}" if found.max_abs is not None else ""
    odd = f", {found.not_finite} of them infinite or no number" if found.not_finite else ""
    return f"{found.name}: {found.count} of {found.elements} elements differ, the first at {where}{far}{odd}"
