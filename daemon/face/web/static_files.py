"""The files that never change: each has its content's hash in its address, so that a browser asks for it once."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent / "static"
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class StaticFile:
    """One of them."""

    content: bytes
    zipped: bytes
    kind: str
    """Its media type."""
    path: str
    """As `/static/0123456789ab/app.css`."""


class StaticFiles:
    """Those that come with glmd, read once."""

    def __init__(self) -> None:
        self._by_name = {path.name: _read(path) for path in sorted(_HERE.rglob("*")) if path.suffix in _KINDS}
        self._by_path = {file.path: file for file in self._by_name.values()}

    def path(self, name: str) -> str:
        """Return where the file of this name is. Raises KeyError."""
        return self._by_name[name].path

    def at(self, path: str) -> StaticFile | None:
        """Return the file at a path; None for none."""
        return self._by_path.get(path)


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    zipped = gzip.compress(content, 9, mtime=0)
    return StaticFile(content, zipped, _KINDS[path.suffix], f"/static/{digest}/{path.name}")
