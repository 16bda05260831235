"""Where two checkpoints differ, for `glmd inspect --diff`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from daemon.commands.terminal.progress import progress
from handlers.ckpt import Difference, Plan, diff, read_manifest
from handlers.ckpt.looking.diff import Content
from handlers.ckpt.planning.output import TRANSFORMED
from handlers.ckpt.publishing.manifest import NAME
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.merging.save import open_save
from handlers.printable import printable, to_json
from handlers.records.merge_plan import MergePlan
from handlers.shards.iterations import wants_iteration
from handlers.shards.names import (
    LAST,
    find_shards,
    is_strategy,
    parse_tag,
    rank_directories,
    shards_directory,
    strategy_directory,
)

DIFFERENT = 1


@dataclass(frozen=True)
class Which:
    """Of a run's output, which save is meant: as for `glmd merge`."""

    tag: str = LAST
    prefix: str | None = None
    strategy: Path | None = None


def difference(a: Path, b: Path, which: Which, *, as_json: bool) -> int:
    """Print where `a` and `b` differ, each a file, what a merge wrote, or a run's save; return the exit code."""
    with progress("diff_progress", "comparing") as shown:
        found = diff(_side(a, which), _side(b, which), shown)
    if as_json:
        content = {"same": found.same, "a": str(a), "b": str(b), **asdict(found)}
        content["contents"] = [{**asdict(part), "index": part.index} for part in found.contents]
        typer.echo(to_json(content))
    else:
        for line in _lines(found, a, b):
            typer.echo(printable(line))
    return 0 if found.same else DIFFERENT


def _side(path: Path, which: Which) -> list[Path] | Plan:
    """Return the files that a checkpoint consists of, or the plan of a save that is not merged."""
    if not path.is_dir():
        return [path]
    if (path / NAME).is_file():
        return [path / file.name for file in read_manifest(path / NAME).files if file.name != TRANSFORMED]
    is_iteration = wants_iteration(path, which.tag)
    if not (is_iteration or find_shards(path, parse_tag(which.tag))):
        raise BadInputError(
            f"{path} holds neither {NAME} nor shards; name a checkpoint file, a directory that glmd merged into, or a "
            "run's output",
            Code.VERIFY_NO_MANIFEST,
        )
    has_strategy = which.strategy is not None or any(map(is_strategy, _in(strategy_directory(path))))
    ranks = (
        None if is_iteration or has_strategy else len(rank_directories(shards_directory(path, parse_tag(which.tag))))
    )
    wanted = MergePlan(
        source=path,
        destination=path,
        tag=which.tag,
        prefix=which.prefix,
        strategy=which.strategy,
        needs_strategy=has_strategy,
        ranks=ranks,
        transformed=True,
    )
    return open_save(wanted).plan


def _in(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


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
