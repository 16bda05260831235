"""`glmd inspect`: checkpoint and strategy files as tables, and where two checkpoints differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.arguments import JsonOption
from daemon.commands.difference import Which, difference
from daemon.commands.terminal.table import table
from handlers.ckpt import open_iteration, open_set, read_strategies
from handlers.ckpt.copying.finite import named
from handlers.ckpt.entry import NotFinite
from handlers.ckpt.looking.inspect import (
    CkptTable,
    EntryRow,
    OutputTable,
    SetTable,
    StrategyTable,
    inspect_iteration,
    inspect_set,
)
from handlers.ckpt.looking.inspect import inspect as inspect_path
from handlers.ckpt.planning.coverage import ranks_text
from handlers.ckpt.publishing.manifest import NAME
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable, to_json
from handlers.shards.iterations import choose_iteration, wants_iteration
from handlers.shards.names import LAST, find_strategies
from handlers.shards.newest_save import newest_save
from handlers.units.byte_sizes import format_size

Found = CkptTable | StrategyTable | OutputTable | SetTable
KINDS = {CkptTable: "checkpoint", StrategyTable: "strategy", OutputTable: "output", SetTable: "set"}


def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR",
            help="A .ckpt, safetensors or strategy file; a run's output, or what glmd merge wrote.",
            show_default=False,
        ),
    ],
    *,
    strategy: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A strategy file of the run, or their directory: shows which ranks hold which slices.",
            show_default=False,
        ),
    ] = None,
    tag: Annotated[str, typer.Option(metavar="TAG", help="The tag of a save, as for glmd merge.")] = LAST,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The prefix of the shards, if the run has several.", show_default=False),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare two checkpoints, A and B; exit code 1 if they differ.")
    ] = False,
    finite: Annotated[
        bool, typer.Option("--finite", help="Read a checkpoint file whole, and count NaN and infinity.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show checkpoint and strategy files, or how two differ."""
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            raise BadInputError(
                f"{path}: {'neither a file nor a directory' if path.exists() else 'no such file'}", Code.USAGE_NOT_THERE
            )
    if diff:
        if len(paths) != 2:
            raise BadInputError(f"--diff compares two checkpoints; {len(paths)} are named", Code.USAGE_OPTIONS)
        raise typer.Exit(difference(paths[0], paths[1], Which(tag, prefix, strategy), as_json=json_))
    if len(paths) != 1:
        raise BadInputError("name one file or directory; --diff compares two", Code.USAGE_OPTIONS)
    if finite and paths[0].is_dir():
        raise BadInputError(
            f"--finite reads one checkpoint file, and {paths[0]} is a directory: name a file in it", Code.USAGE_OPTIONS
        )
    found = _found(paths[0], strategy, tag, prefix, count=finite)
    if json_:
        typer.echo(to_json({"kind": KINDS[type(found)], **asdict(found)}))
        return
    for line in _lines(found):
        typer.echo(line)


def _found(path: Path, strategy: Path | None, tag: str, prefix: str | None, *, count: bool) -> Found:
    if path.is_dir() and not (path / NAME).exists():
        if wants_iteration(path, tag):
            return inspect_iteration(open_iteration(choose_iteration(path, tag, prefix).directory))
        shards, strategies = newest_save(path, tag=tag, prefix=prefix, strategy=strategy)
        return inspect_set(open_set(shards, strategies))
    return inspect_path(path, read_strategies(find_strategies(path, strategy)) if strategy else None, count=count)


def _lines(found: Found) -> Iterator[str]:
    match found:
        case CkptTable():
            yield from _checkpoint(found)
        case StrategyTable():
            yield from _strategy(found)
        case OutputTable():
            for file in found.files:
                yield from _checkpoint(file)
            yield f"{printable(str(found.path))}: merged of {printable(found.prefix)} {printable(found.tag)}"
        case SetTable():
            yield from _set(found)


def _checkpoint(found: CkptTable) -> Iterator[str]:
    yield from _entries(found.rows, found.not_finite or {})
    if found.not_finite is not None:
        yield printable(named(found.not_finite) if found.not_finite else "no parameter holds NaN or infinity")
    yield f"{printable(str(found.path))}: {found.format}, {_counts(found.rows)}, {format_size(found.size)}"


def _entries(found: Sequence[EntryRow], not_finite: Mapping[str, NotFinite]) -> Iterator[str]:
    columns: dict[str, list[str]] = {
        "PARAMETER": [row.name for row in found],
        "SHAPE": [_numbers(row.dims) for row in found],
        "TYPE": [row.type for row in found],
        "BYTES": [f"{row.bytes:,}" for row in found],
        "RECORDS": [str(row.chunks) for row in found],
        "FAMILY": [str(row.family) for row in found],
    }
    if any(row.spread for row in found):
        columns["RANKS"] = [str(row.spread or "") for row in found]
    if not_finite:
        columns["NOT FINITE"] = [str(not_finite.get(row.name, "")) for row in found]
    yield from table([*columns], [*zip(*columns.values(), strict=True)], right=frozenset({3, 4}))


def _counts(rows: Sequence[EntryRow]) -> str:
    families = ", ".join(f"{count} {family}" for family, count in Counter(row.family for row in rows).items())
    return f"{len(rows)} entries ({families})"


def _set(found: SetTable) -> Iterator[str]:
    yield from _entries(found.rows, {})
    for row in found.rows:
        lacking = found.missing.get(row.name, ())
        if row.spread and lacking:
            holders = ranks_text(sorted(rank for part in lacking for rank in part.ranks))
            yield printable(
                f"missing: {row.name}: {len(lacking)} of {len(row.spread.slices)} slices, held by {holders}"
            )
    if found.missing_ranks:
        yield f"without a shard: {ranks_text(found.missing_ranks)}"
    if found.absent:
        yield f"in the strategy, but in no shard: {len(found.absent)} parameters, as {printable(found.absent[0])}"
    yield f"{ranks_text(found.ranks)}: {_counts(found.rows)}, {format_size(found.size)}"


def _strategy(found: StrategyTable) -> Iterator[str]:
    shards = {0: "none", -1: "all"}
    rows = [
        (
            row.name,
            ", ".join(map(str, row.stages)),
            _numbers(row.dev_matrix),
            _numbers(row.tensor_map),
            shards.get(row.optimizer_shards, str(row.optimizer_shards)),
        )
        for row in found.rows
    ]
    yield from table(("PARAMETER", "STAGE", "DEVICES", "TENSOR MAP", "OPTIMIZER SHARDS"), rows)
    stages = f"pipeline stage{'s' * (len(found.stages) > 1)} {', '.join(map(str, found.stages))}"
    yield f"{printable(str(found.path))}: strategy, {len(found.rows)} parameters, {stages} of {found.ranks} ranks"


def _numbers(numbers: tuple[int | tuple[int, ...], ...]) -> str:
    return f"[{', '.join(str(number) if isinstance(number, int) else _numbers(number) for number in numbers)}]"
