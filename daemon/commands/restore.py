"""`glmd restore`: what a backup holds and whether it is whole, and a root made of one."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.commands.own_parser import Parser
from daemon.commands.terminal.streaming import json_lines, write
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable

if TYPE_CHECKING:
    from daemon.client.backup.checking import Checked

PROBLEMS = 1
"""The exit code when a backup is not whole."""


def restore(words: Sequence[str]) -> None:
    """Check a backup, or restore it to a new root."""
    given = _parser().parse_args(words)
    if given.check == (given.to is not None):
        raise BadInputError("give --check, to look at the backup, or --to ROOT", Code.USAGE_OPTIONS)
    if given.deep and not given.check:
        raise BadInputError("--deep is for --check", Code.USAGE_OPTIONS)
    if given.check:
        _check(given.directory, deep=given.deep, as_json=given.json)
    else:
        _restore(given.directory, given.to, as_json=given.json)


def _parser() -> Parser:
    usage = "glmd restore --check [--deep] [--json] DIR\n       glmd restore DIR --to ROOT"
    parser = Parser(prog="glmd restore", usage=usage, description=restore.__doc__, allow_abbrev=False)
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="A directory that glmd backup made: …/glmd-backup-…."
    )
    text = "Only check: is it whole, what does it hold, and which commands restore it? Exit code 1 for problems."
    parser.add_argument("--check", action="store_true", help=text)
    parser.add_argument("--deep", action="store_true", help="Also read all outputs, as glmd verify does.")
    parser.add_argument("--to", type=Path, metavar="ROOT", help="A new or empty directory, which becomes a root.")
    parser.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    # As every command; here they mean nothing.
    root = Path(os.environ["GLMD_ROOT"]) if os.environ.get("GLMD_ROOT") else None
    parser.add_argument("--root", type=Path, default=root, help="Not used here.")
    parser.add_argument("--config", type=Path, help="Not used here.")
    return parser


def _check(directory: Path, *, deep: bool, as_json: bool) -> None:
    from daemon.client.backup.checking import check  # noqa: PLC0415 - numpy, which `--help` has no use for

    found = check(directory, deep=deep)
    if as_json:
        write(json_lines(_document(directory, found)))
    else:
        write(map(printable, _report(directory, found)))
    if found.problems:
        sys.exit(PROBLEMS)


def _restore(directory: Path, root: Path, *, as_json: bool) -> None:
    from daemon.client.backup.restoring import restore as restore_to  # noqa: PLC0415 - as above

    record = restore_to(directory, root)
    if as_json:
        write(json_lines({"root": str(root), "jobs": record.jobs}.items()))
    else:
        write(
            [printable(f"{root}: {record.jobs} jobs as of {record.began:%Y-%m-%d %H:%M:%S} UTC; glmd may be started")]
        )


def _document(directory: Path, found: "Checked") -> Iterator[tuple[str, object]]:
    from daemon.client.backup.checking import steps  # noqa: PLC0415 - as above

    yield "ok", not found.problems
    yield "path", str(directory)
    yield "states", {str(state): count for state, count in found.states.items()}
    yield "latest", dict(found.latest)
    yield "problems", list(found.problems)
    yield "mended", [one.as_json() for one in found.mended]
    yield "steps", list(steps(directory, found.record))
    yield "backup", found.record.model_dump(mode="json")


def _report(directory: Path, found: "Checked") -> Iterator[str]:
    from daemon.client.backup.checking import steps  # noqa: PLC0415 - as above

    record = found.record
    yield f"backup of {record.root} on {record.host}, {record.began:%Y-%m-%d %H:%M:%S} UTC, by glmd {record.glmd}"
    yield f"store of version {record.store_version}; {record.jobs} directories of jobs, {record.files} files"
    yield ""
    yield "a root made of it would have"
    counts = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items()))
    yield f"  jobs: {counts or 'none'}"
    for prefix, target in found.latest.items():
        yield f"  latest/{prefix}: {target}"
    if found.at_work:
        yield f"  running were {found.at_work}; a backup does not have their saves, so they begin again, or fail"
    for one in found.mended:
        yield f"  fixed when glmd starts: {one.where.relative_to(directory)}: {one.what}"
    yield ""
    if found.problems:
        yield f"{len(found.problems)} problem{'s' * (len(found.problems) > 1)}"
        yield from (f"  {problem}" for problem in found.problems)
    else:
        yield "it is whole"
    yield ""
    yield "to restore it"
    yield from (f"  {step}" for step in steps(directory, record))
