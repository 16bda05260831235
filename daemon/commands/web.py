"""`glmd web`: the page, served; and how to reach it from another machine."""

import platform
from collections.abc import Sequence

from daemon.commands.lookup import settings_of
from daemon.commands.own_parser import Parser
from daemon.commands.terminal.streaming import write
from daemon.core.settings import Settings
from daemon.core.web_settings import AUTO, address_in

_PORT = 8470
_SOCKET = "/run/glmd/web.sock"


def web(words: Sequence[str]) -> None:
    """Serve the page, which only reads; also with the daemon down."""
    given = _parser().parse_args(words)
    settings = settings_of(given.root, given.config)
    if given.what == "link":
        write(lines(settings, platform.node()))
        return
    from daemon.face.web.process import serve  # noqa: PLC0415 - `glmd web link` needs nothing of it

    serve(settings, given.listen)


def _parser() -> Parser:
    parser = Parser(prog="glmd web", description=web.__doc__, allow_abbrev=False)
    told = "link: say how to reach the page from another machine, and serve nothing."
    parser.add_argument("what", nargs="?", choices=("link",), help=told)
    told = "127.0.0.1:PORT or the path of a socket; without it, web.listen."
    parser.add_argument("--listen", metavar="WHERE", help=told)
    parser.add_common_options()
    return parser


def lines(settings: Settings, host: str) -> list[str]:
    """Return what to type on a laptop, and what to open then."""
    if settings.web.url is not None:
        return [settings.web.url]
    address = address_in(settings.web.listen)
    there = f"localhost:{address[1]}" if address else _SOCKET if settings.web.listen == AUTO else settings.web.listen
    return [f"ssh -N -L {_PORT}:{there} {host}", f"then open http://localhost:{_PORT}/"]
