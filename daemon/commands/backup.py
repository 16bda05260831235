"""`glmd backup`: the store, all records and the outputs that others go on from, in a directory of their own."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.commands.lookup import root_of
from daemon.commands.own_parser import Parser
from daemon.commands.terminal.progress import progress, warn
from daemon.commands.terminal.streaming import json_lines, write
from handlers.printable import printable
from handlers.units.byte_sizes import format_size

if TYPE_CHECKING:
    from daemon.core.backup_record import BackupRecord

LACKS = 1
"""The exit code when something could not be read, or an output is not what it should be."""
EXIT_CODES = "Exit codes: 0 whole, 1 failed, or made but not complete, 2 bad usage or bad input, 3 refused."


def backup(words: Sequence[str]) -> None:
    """Back up the store, the records and the promoted outputs.

    Jobs and the daemon can run meanwhile.
    """
    given = _parser().parse_args(words)
    from daemon.client.backup.making import back_up, clear_up  # noqa: PLC0415 - numpy, which `--help` has no use for
    from daemon.core.root import Root  # noqa: PLC0415 - as above
    from daemon.core.settings import settings_file  # noqa: PLC0415 - as above

    root = Root(root_of(given.root, given.config))
    for left in clear_up(given.to):
        warn("backup_remains_removed", f"removed {left}, which a killed backup had left", {"path": str(left)})
    with progress("backup_progress", "copying jobs", unit=lambda jobs: f"{jobs:,.0f}") as shown:
        path, record = back_up(root, settings_file(given.config, root.path), given.to, shown)
    for one in record.left_out:
        warn("left_out_of_backup", f"{one.place}: {one.why}", {"place": one.place, "lack": one.is_lack})
    if given.json:
        write(json_lines({"path": str(path), **record.model_dump(mode="json")}.items()))
    else:
        write(map(printable, summary(path, record)))
    if record.lacks:
        sys.exit(LACKS)


def _parser() -> Parser:
    parser = Parser(prog="glmd backup", description=backup.__doc__, epilog=EXIT_CODES, allow_abbrev=False)
    text = "An existing directory, best on another disk; the backup gets a directory in it."
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help=text)
    parser.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    parser.add_common_options()
    return parser


def summary(path: Path, record: "BackupRecord") -> Iterator[str]:
    """Say what is in a backup."""
    yield str(path)
    yield f"{record.jobs} job{'s' * (record.jobs != 1)}, {record.files} files, {format_size(record.bytes)}"
    for output in record.outputs:
        how = "hard links, which share their bytes with the root" if output.linked else "copies, read again"
        yield f"{output.target}: {output.prefix}, {format_size(output.bytes)}; {how}"
    if record.without_files:
        count = len(record.without_files)
        yield f"of {count} other output{'s' * (count > 1)}, which no training needs, only the manifest"
    if any(output.linked for output in record.outputs):
        yield "if this disk fails, root and backup are both lost: copy the backup to another one (cp -a)"
    if record.lacks:
        yield f"it lacks {len(record.lacks)} thing{'s' * (len(record.lacks) > 1)} that a backup should have; see above"
