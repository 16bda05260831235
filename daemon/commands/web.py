"""`glmd web`: the page, served; and how to reach it from another machine."""

import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from daemon.commands.own_parser import Parser
from daemon.commands.terminal.streaming import write
from daemon.core.web_plan import AUTO, WebPlan, address_in
from daemon.face.web.plan import read_plan

_PORT = 8470
_SOCKET = "/run/glmd/web.sock"


def web(words: Sequence[str]) -> None:
    """Serve the page, which only reads; works without the daemon."""
    given = _parser().parse_args(words)
    plan = read_plan(given.config, given.root)
    if given.what == "link":
        write(lines(plan.web, platform.node()))
        return
    with _without_rich():
        from daemon.face.web.process import serve  # noqa: PLC0415 - `glmd web link` needs nothing of it
    serve(plan, given.listen)


@contextmanager
def _without_rich() -> Iterator[None]:
    """Let structlog find no rich, which it would load to draw tracebacks: 4 MB, and they are written plainly here."""
    if "rich" in sys.modules:  # it is there anyway
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # it is not found then, see Python's reference, 5.3.1
    try:
        yield
    finally:
        del sys.modules["rich"]


def _parser() -> Parser:
    parser = Parser(prog="glmd web", description=web.__doc__, allow_abbrev=False)
    text = "link: print how to reach the page from another machine, and serve nothing."
    parser.add_argument("what", nargs="?", choices=("link",), help=text)
    text = "127.0.0.1:PORT or the path of a socket; default: web.listen."
    parser.add_argument("--listen", metavar="WHERE", help=text)
    parser.add_common_options()
    return parser


def lines(web: WebPlan, host: str) -> list[str]:
    """Return what to type on a laptop, and what to open then."""
    if web.url is not None:
        return [web.url]
    address = address_in(web.listen)
    there = f"localhost:{address[1]}" if address else _SOCKET if web.listen == AUTO else web.listen
    return [f"ssh -N -L {_PORT}:{there} {host}", f"then open http://localhost:{_PORT}/"]
