"""`glmd inspect`: a checkpoint or strategy file as a table."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.arguments import JsonOption
from daemon.commands.table import printable, size, table
from handlers.ckpt.inspect import CkptTable, StrategyTable
from handlers.ckpt.inspect import inspect as inspect_file
from handlers.errors import BadInputError


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .ckpt or strategy file.", show_default=False)],
    *,
    json_: JsonOption = False,
) -> None:
    """Show what a checkpoint or strategy file holds."""
    if file.suffix == ".safetensors":
        raise BadInputError(f"{file}: safetensors are not in this version of glmd")
    if not file.is_file():
        raise BadInputError(f"{file}: {'not a regular file' if file.exists() else 'no such file'}")
    found = inspect_file(file)
    if json_:
        kind = "checkpoint" if isinstance(found, CkptTable) else "strategy"
        typer.echo(json.dumps({"kind": kind, **asdict(found)}, indent=2, ensure_ascii=False, default=str))
        return
    for line in _checkpoint(found) if isinstance(found, CkptTable) else _strategy(found):
        typer.echo(line)


def _checkpoint(found: CkptTable) -> Iterator[str]:
    rows = [
        (row.name, _numbers(row.dims), row.type, f"{row.bytes:,}", str(row.chunks), str(row.family))
        for row in found.rows
    ]
    yield from table(("PARAMETER", "SHAPE", "TYPE", "BYTES", "RECORDS", "FAMILY"), rows, right=frozenset({3, 4}))
    families = ", ".join(f"{count} {family}" for family, count in Counter(row.family for row in found.rows).items())
    yield f"{printable(str(found.path))}: checkpoint, {len(found.rows)} entries ({families}), {size(found.size)}"


def _strategy(found: StrategyTable) -> Iterator[str]:
    shards = {0: "none", -1: "all"}
    rows = [
        (row.name, _numbers(row.dev_matrix), _numbers(row.tensor_map), shards.get(n := row.optimizer_shards, str(n)))
        for row in found.rows
    ]
    yield from table(("PARAMETER", "DEVICES", "TENSOR MAP", "OPTIMIZER SHARDS"), rows)
    stages = ", ".join(map(str, found.stages))
    yield f"{printable(str(found.path))}: strategy, {len(found.rows)} parameters, pipeline stage {stages}"


def _numbers(numbers: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, numbers))}]"
