"""The process of `glmd web`: its socket, and its end when nobody looks."""

import contextlib
import ctypes
import gc
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog
import uvicorn

from daemon.core.root import Root
from daemon.core.web_plan import AUTO, address_in
from daemon.face.web.app import Application
from daemon.face.web.connection import Connection
from daemon.face.web.plan import PagePlan
from daemon.face.web.site import Site
from handlers import events
from handlers.codes import Code
from handlers.errors import BadInputError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

DEFAULT = "127.0.0.1:8470"
IDLE = 900.0
"""Seconds without a request after which a process that systemd started on demand ends."""
_FIRST = 3
"""Of the descriptors that systemd hands over, see sd_listen_fds(3)."""
MOST_CONNECTIONS = 96
_GIVE_BACK_EVERY = 50
"""Ticks of uvicorn's, of which there are ten a second."""


def serve(plan: PagePlan, listen: str | None = None) -> None:
    """Serve the page until TERM or INT. Raises BadInputError where it cannot listen."""
    events.configure(format=plan.log_format, level=plan.log_level)
    Root(plan.root).refuse_elsewhere()
    wanted = listen or plan.web.listen
    handed = _handed_over(os.environ)
    with _listening(wanted, handed) as (sockets, where):
        application = Application(Site.of(plan))
        server = _Server(_config(application), idle=IDLE if handed else None)
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn sends it again when it has ended: that is the end here
            signal.signal(number, lambda *_: None)
        gc.collect()
        gc.freeze()  # it stays: then what an answer leaves behind is looked for among little, and so more often
        log.info("web_started", root=plan.root, listen=where, pid=os.getpid())
        server.run(sockets=sockets)
    log.info("web_stopped", listen=where)


def _config(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,  # streams never end by themselves
        h11_max_incomplete_event_size=8192,
    )


class _Server(uvicorn.Server):
    """Ends when nobody has asked for a while; the next one who asks has systemd start it again."""

    def __init__(self, config: uvicorn.Config, idle: float | None) -> None:
        super().__init__(config)
        self._idle = idle
        self._seen = 0
        self._since = time.monotonic()
        self._given_back = 0
        """How many requests there had been when memory was given back last."""

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether it is to end; and let go of memory now and then."""
        state = self.server_state
        if counter % _GIVE_BACK_EVERY == 0 and self._given_back != state.total_requests:
            self._given_back = state.total_requests
            _give_back()
        if state.connections or state.total_requests != self._seen:
            self._seen, self._since = state.total_requests, time.monotonic()
        if self._idle is not None and time.monotonic() - self._since > self._idle:
            return True
        return await super().on_tick(counter)


def _give_back() -> None:
    """Let the kernel have what answers have left behind: CPython and glibc keep it otherwise."""
    gc.collect()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # glibc's; musl has none
        trim(0)


@contextlib.contextmanager
def _listening(wanted: str, handed: list[socket.socket]) -> Iterator[tuple[list[socket.socket], str]]:
    if handed:
        with contextlib.ExitStack() as open_ones:
            yield [open_ones.enter_context(handle) for handle in handed], "systemd"
        return
    where = DEFAULT if wanted == AUTO else wanted
    try:
        opened = _opened(where)
    except OSError as error:
        raise BadInputError(
            f"{where}: glmd web cannot listen there: {error.strerror}; another one may: --listen 127.0.0.1:PORT, or a "
            "path",
            Code.WEB_LISTEN,
        ) from error
    with opened:
        yield [opened], where
    if where.startswith("/"):
        Path(where).unlink(missing_ok=True)


def _opened(where: str) -> socket.socket:
    address = address_in(where)
    if address is not None:
        host, port = address
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    if not where.startswith("/"):
        raise BadInputError(
            f"{where}: glmd web listens at 127.0.0.1:PORT or at the path of a socket: others reach it by ssh -L "
            "(glmd web link) or a proxy",
            Code.WEB_LISTEN,
        )
    _remove_left_over(Path(where))
    opened = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o117)  # its group may connect, nobody else
    try:
        opened.bind(where)
        opened.listen(128)
    except OSError:
        opened.close()
        raise
    finally:
        os.umask(mask)
    return opened


def _remove_left_over(path: Path) -> None:
    """Remove the socket of a process that was killed."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            with socket.socket(socket.AF_UNIX) as asking:
                try:
                    asking.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()


def _handed_over(environment: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd has opened for this process."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environment.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=_FIRST + number) for number in range(count)]
