"""A file as it is, or a range of it (RFC 9110, 14), from a descriptor that is open already."""

import io
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from daemon.face.web.reading_apart import Reads

Tell = Callable[[int, bytes], bytes]

_BLOCK = 1 << 18
"""Bytes that are read at a time."""
_PATIENCE = 60.0
"""Seconds that one of them may take."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class WholeFile(StreamingResponse):
    """What a browser saves, and never shows. It ends with the reader, and closes the file."""

    def __init__(self, stream: io.FileIO, name: str, kind: str, tell: Tell | None = None) -> None:
        """Send a file, each block as `tell` makes it of where it begins and its bytes: of the same length."""
        self._stream = stream
        self._tell = tell
        self._status = os.fstat(stream.fileno())
        super().__init__((), media_type=kind, headers=_headers(name, self._status))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, in blocks that a thread reads: storage that does not answer ends this answer alone."""
        with self._stream:
            start, end = self._asked_for(Headers(scope=scope))
            self.headers["Content-Length"] = str(end - start)
            self.body_iterator = self._blocks(start, end if scope["method"] != "HEAD" else start)
            await super().__call__(scope, receive, send)

    def _asked_for(self, asked: Headers) -> tuple[int, int]:
        """Return begin and end of what is to be sent, and say it in status and headers."""
        size = self._status.st_size
        if asked.get("if-range", self.headers["etag"]) != self.headers["etag"]:
            return 0, size
        found = _range(asked.get("range", ""), size)
        if found is None:
            return 0, size
        start, end = found
        self.status_code = 206 if start < end else 416
        self.headers["Content-Range"] = f"bytes {f'{start}-{end - 1}' if start < end else '*'}/{size}"
        return found

    async def _blocks(self, start: int, end: int) -> AsyncIterator[bytes]:
        reads = Reads(1, _PATIENCE)
        while start < end:
            block = await reads.read(self, partial(self._block, start, min(_BLOCK, end - start)))
            if not block:  # it was cut off meanwhile: the connection ends short of what was announced
                return
            start += len(block)
            yield block

    def _block(self, start: int, size: int) -> bytes:
        content = os.pread(self._stream.fileno(), size, start)
        return content if self._tell is None else self._tell(start, content)


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return begin and end of the one range that is wanted, the same for one that the file does not have.

    None where it is not one range of bytes: then all is sent, as RFC 9110 14.2 has it.
    """
    match = _RANGE.fullmatch(wanted.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return (max(0, size - int(match[2])), size) if int(match[2]) and size else (0, 0)
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    if match[2] and int(match[2]) < start:
        return None
    return (start, min(end, size)) if start < size else (0, 0)


def _headers(name: str, status: os.stat_result) -> Mapping[str, str]:
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    disposition = f'attachment; filename="{plain}"'
    if plain != name:
        disposition += f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return {
        "Content-Disposition": disposition,
        "Accept-Ranges": "bytes",
        "ETag": f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"',
    }
