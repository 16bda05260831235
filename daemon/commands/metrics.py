"""`glmd metrics`: what glmd knows, as samples for Prometheus."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from daemon.commands.lookup import root_of, settings_of
from daemon.commands.own_parser import Parser
from daemon.core.root import Root
from daemon.face.metrics.exporter import Exporter
from handlers.ckpt.files.durable import publish_bytes
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable

_BY_SETTINGS = Path()


def metrics(words: Sequence[str]) -> None:
    """Print metrics for Prometheus, or write them to a textfile.

    It works without the daemon.
    """
    given = _parser().parse_args(words)
    root, textfile = _places(given)
    place = Root(root)
    place.refuse_elsewhere()
    found = Exporter(place).scrape()
    for part, error in found.failures.items():
        sys.stderr.write(f"glmd: no samples of {part}: {printable(str(error) or type(error).__name__)}\n")
    if textfile is None:
        sys.stdout.buffer.write(found.text)
        sys.stdout.flush()
    else:  # node_exporter runs as another user
        publish_bytes(textfile, found.text, mode=0o644, lasting=False)


def _parser() -> Parser:
    parser = Parser(prog="glmd metrics", description=metrics.__doc__, allow_abbrev=False)
    text = "Write the metrics to this file, for node_exporter; default: metrics.textfile."
    parser.add_argument("--textfile", nargs="?", type=Path, const=_BY_SETTINGS, metavar="PATH", help=text)
    parser.add_common_options()
    return parser


def _places(given: argparse.Namespace) -> tuple[Path, Path | None]:
    """Return the root, and where to write. Raises SettingsError, and BadInputError where nothing says where."""
    if given.textfile != _BY_SETTINGS:
        return root_of(given.root, given.config), given.textfile
    settings = settings_of(given.root, given.config)
    if settings.metrics.textfile is None:
        raise BadInputError(
            "no textfile is named: write metrics: {textfile: /var/lib/node_exporter/glmd.prom} into the settings, or "
            "--textfile PATH",
            Code.METRICS_NO_TEXTFILE,
        )
    return settings.root, settings.metrics.textfile
