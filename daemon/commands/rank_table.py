"""`glmd rank-table make|check|merge`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handlers.codes import Code
from handlers.errors import RefusedError
from handlers.printable import printable
from handlers.rank_table.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handlers.rank_table.contents import RankTable

app = typer.Typer(
    name="rank-table",
    help="Make, check and merge HCCL rank tables.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def _topology(word: str) -> Topology:
    try:
        return Topology(word)
    except ValueError as error:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(Topology)}") from error


Output = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write the file.")]
Wiring = Annotated[
    Topology,
    typer.Option(
        parser=_topology,
        metavar="|".join(Topology),
        help="The product of the servers: it decides which devices work together.",
    ),
]


@app.command()
def make(
    devices: Annotated[str, typer.Option(help="[0,8), [0,7], 0-7, 0,2,4 or 3.")] = "[0,8)",
    visible_devices: Annotated[
        str | None,
        typer.Option(help="Physical ids that this container sees; --devices then are positions in this list."),
    ] = None,
    server_ip: Annotated[str, typer.Option(metavar="IP|auto", help="This server's address.")] = "auto",
    hccn_conf: Annotated[Path, typer.Option(metavar="PATH", help="Compared with hccn_tool.")] = Path("/etc/hccn.conf"),
    hccn_tool: Annotated[
        str, typer.Option(metavar="PATH", help="The program that prints the addresses of the devices.")
    ] = "hccn_tool",
    topology: Wiring = Topology.ANY,
    output: Output = Path(),
) -> None:
    """Write this server's rank table, rank 0 on the first device."""
    from handlers.rank_table.hccn import HccnLookup  # noqa: PLC0415 - `glmd --help` is to answer at once
    from handlers.rank_table.table import make  # noqa: PLC0415
    from handlers.units.devices import parse_devices  # noqa: PLC0415

    asked = parse_devices(devices)
    visible = None if visible_devices is None else parse_devices(visible_devices)
    table, warnings = make(
        asked,
        visible_devices=visible,
        server_ip=server_ip,
        ip_source=HccnLookup(hccn_tool, hccn_conf),
        topology=topology,
    )
    _warn(warnings)
    server = table.servers[0]
    # the stock tool's own lines, which people and their scripts know
    typer.echo(f"visible_devices:{[str(d) for d in visible or range(max(8, *(d + 1 for d in asked)))]}")
    typer.echo(f"server_id:{server.server_id}")
    typer.echo(f"device_num_list: {list(asked)}")
    for device in server.devices:
        typer.echo(f"rank_id:{device.rank_id}, device_id:{device.device_id}, device_ip:{device.device_ip}")
    _save(table, output)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A rank table.")],
    ranks: Annotated[int | None, typer.Option(min=1, help="How many ranks the table must have.")] = None,
    topology: Wiring = Topology.ANY,
) -> None:
    """Say whether HCCL would take a rank table, and everything it would object to."""
    from handlers.rank_table.contents import Form  # noqa: PLC0415 - `glmd --help` is to answer at once
    from handlers.rank_table.rules import find_warnings  # noqa: PLC0415
    from handlers.rank_table.table import inspect  # noqa: PLC0415

    table, problems = inspect(file, ranks=ranks, topology=topology)
    if table is None or problems:
        raise RefusedError("\n".join(f"{file}: {problem}" for problem in problems), Code.RANK_TABLE_REFUSED)
    _warn(find_warnings(table, topology=topology))
    form = "" if table.form is Form.SERVER_LIST else f", {table.form.value}"
    typer.echo(f"OK: {len(table.servers)} server(s), {len(table.devices)} rank(s){form}")


@app.command()
def merge(
    files: Annotated[list[Path], typer.Argument(help="One table for each server.")],
    output: Output = Path(),
    topology: Wiring = Topology.ANY,
) -> None:
    """Join the tables of several servers into one: every server must get this same file.

    A table in the form of ModelArts' jobstart_hccl.json (group_list) is written as MindFormers' scripts want it.
    """
    from handlers.rank_table.rules import find_warnings  # noqa: PLC0415 - `glmd --help` is to answer at once
    from handlers.rank_table.table import merge, read  # noqa: PLC0415

    table = merge((read(file) for file in files), topology=topology)
    _warn(find_warnings(table, topology=topology))
    for server in table.servers:
        ranks = [device.rank_id for device in server.devices]
        typer.echo(printable(f"server_id:{server.server_id}, rank_id:{ranks[0]}-{ranks[-1]}"))
    _save(table, output)


def _save(table: "RankTable", directory: Path) -> None:
    from handlers.rank_table.table import write  # noqa: PLC0415 - `glmd --help` is to answer at once

    typer.echo(printable(f"Completed: hccl file was save in : {write(table, directory.absolute())}"))


def _warn(warnings: "Iterable[str]") -> None:
    for warning in warnings:
        typer.echo(printable(f"warning: {warning}"), err=True)
