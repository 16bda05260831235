"""Asks npu-exporter how the devices are: beside the pages, which show what was heard last and how old it is."""

import errno
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlsplit

from daemon.face.web.npu_exporter_text import DeviceUse, Figures, read

EVERY = 5.0
"""Seconds after which it is asked again, if somebody looks."""
WITHIN = 2.0
"""Seconds that an answer may take, whole."""
PATIENCE = 0.2
"""Seconds that a page waits for the first one; it shows what there is then."""
MOST_BYTES = 4 << 20
"""Of an answer: a host of 16 devices has some 200 KB."""
STALE = 60.0
"""Seconds after which what was heard is told with its age at each device."""
_BLOCK = 1 << 16
_OK = 200
_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT})


class Trouble(StrEnum):
    """Why nothing new is known."""

    SILENT = "silent"
    """No connection, or no answer in time."""
    WRONG = "wrong"
    """It answers, but not with what devices do."""
    FORBIDDEN = "forbidden"
    """This process may open no socket: the unit's drop-in is missing."""


@dataclass(frozen=True)
class Readings:
    """What was heard last."""

    devices: Mapping[int, DeviceUse]
    measured: datetime | None
    """When; None while nothing was heard."""
    trouble: Trouble | None
    """Of the last try; None where it went well, or is the first one and not over."""
    why: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys, without those of devices."""
        measured = None if self.measured is None else self.measured.isoformat()
        return {"measured": measured, "trouble": self.trouble, "why": self.why}


_NOTHING = Readings({}, None, None)


class NpuExporter:
    """Keeps what was heard last. It is asked by one thread at a time, and only while somebody looks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known = _NOTHING
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None
        self._asked = -EVERY

    def readings(self) -> Readings:
        """Return what is known, which may be asked for again meanwhile."""
        with self._lock:
            if self._asking is None and time.monotonic() - self._asked >= EVERY:
                self._asking, self._asked = threading.Event(), time.monotonic()
                threading.Thread(target=self._ask, args=(self._asking,), daemon=True).start()
            asking, known, passed = self._asking, self._known, time.monotonic() - self._asked
        if asking is not None and passed > 2 * WITHIN:  # it answers, a byte at a time
            return replace(known, trouble=Trouble.SILENT, why=f"no whole answer within {WITHIN:g} s")
        if asking is not None and passed < PATIENCE and known == _NOTHING:
            asking.wait(PATIENCE)  # the first page shows the figures, where the exporter is quick
        return self._known

    def _ask(self, done: threading.Event) -> None:
        try:
            self._known = self._heard()
        finally:
            with self._lock:
                self._asking = None
            done.set()

    def _heard(self) -> Readings:
        try:
            figures = _answer(self._url)
        except OSError as error:
            trouble = Trouble.FORBIDDEN if error.errno in _FORBIDDEN else Trouble.SILENT
            return replace(self._known, trouble=trouble, why=(error.strerror or str(error))[:200])
        except ValueError as error:
            return replace(self._known, trouble=Trouble.WRONG, why=str(error)[:200])
        now = time.time()
        measured = now if figures.measured is None else min(now, figures.measured)
        return Readings(figures.devices, datetime.fromtimestamp(measured, UTC), None)


def _answer(url: str) -> Figures:
    """Return what the exporter says. Raises OSError, and ValueError for what is no such text."""
    import http.client  # noqa: PLC0415 - it takes memory, and most pages ask nobody

    until = time.monotonic() + WITHIN
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=WITHIN)
    try:
        connection.request("GET", parts.path or "/", headers={"Accept": "text/plain", "Connection": "close"})
        answer = connection.getresponse()
        if answer.status != _OK:
            raise ValueError(f"HTTP {answer.status}")
        content = bytearray()
        while block := answer.read1(_BLOCK):
            content += block
            if len(content) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"no whole answer within {WITHIN:g} s")
    except http.client.RemoteDisconnected as error:
        raise ConnectionResetError(str(error)) from error
    except http.client.HTTPException as error:
        raise ValueError(f"no HTTP: {error!r}") from error
    finally:
        connection.close()
    figures = read(content.decode("utf-8", "replace"))
    if not figures.devices:
        raise ValueError("no npu_chip_info_ of any device")
    return figures
