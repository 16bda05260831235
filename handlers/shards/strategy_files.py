"""The strategy files of a tree, each read once while it stays as it is, and parsed once if others say the same."""

from pathlib import Path

from handlers.ckpt import CkptError, Fingerprint, InconsistentError, Strategy
from handlers.ckpt.formats.strategy import join_strategies, parse_content, read_content
from handlers.shards.names import find_strategies, is_strategy, no_strategy, strategy_directory


class StrategyFiles:
    """Those of the tree `source`; or, instead of them, the file `strategy`, or all in the directory `strategy`."""

    def __init__(self, source: Path, strategy: Path | None) -> None:
        self._source = source
        self._given = strategy
        self._directory: Path | None = None
        """Where they lay when last listed."""
        self._read: dict[Path, tuple[Fingerprint, bytes]] = {}
        """Each file's content, or why it was not read."""
        self._users: dict[bytes, set[Path]] = {}
        """Which files have a content: the ranks of a stage write the same."""
        self._parsed: dict[bytes, Strategy | CkptError] = {}
        self._joined: Strategy | None = None

    def concerns(self, path: Path) -> bool:
        """Tell whether a path is, by its name, one of them."""
        return path == self._given or (is_strategy(path) and path.parent == self._where())

    def noticed(self, path: Path) -> None:
        """Take in that something happened to one of them; raises OSError."""
        if self._where() != self._directory:
            self.relist()
        known = self._read.get(path)
        try:
            fingerprint = Fingerprint.of(path.stat())
            if known is None or known[0] != fingerprint:
                self._take(path, fingerprint, *self._content(path))
        except (FileNotFoundError, NotADirectoryError):
            self._drop(path)

    def _content(self, path: Path) -> tuple[bytes, Strategy | CkptError]:
        """Read a file, and parse what no other says; a bad one stands for its error."""
        try:
            content, fingerprint = read_content(path)
            return content, self._parsed.get(content) or parse_content(path, content, fingerprint)
        except CkptError as error:
            return str(error).encode(), error

    def relist(self) -> None:
        """Take in all that are there; raises OSError."""
        self._directory = self._where()
        try:
            found = find_strategies(self._source, self._given)
        except InconsistentError:
            found = ()
        for path in set(self._read).difference(found):
            self._drop(path)
        for path in found:
            self.noticed(path)

    def joined(self) -> Strategy:
        """Return what they say together, the same object while they stay as they are.

        Raises the errors of `read_strategies`, and InconsistentError where there is none.
        """
        if self._joined is None:
            parts = []
            for parsed in self._parsed.values():
                if isinstance(parsed, CkptError):
                    raise parsed.with_traceback(None)
                parts.append(parsed)
            if not parts:
                raise no_strategy(self._where())
            self._joined = join_strategies(parts)
        return self._joined

    def _where(self) -> Path:
        return self._given or strategy_directory(self._source)

    def _take(self, path: Path, fingerprint: Fingerprint, content: bytes, parsed: Strategy | CkptError) -> None:
        self._drop(path)
        self._read[path] = (fingerprint, content)
        if content not in self._users:
            self._users[content], self._parsed[content], self._joined = set(), parsed, None
        self._users[content].add(path)

    def _drop(self, path: Path) -> None:
        _, content = self._read.pop(path, (None, b""))
        users = self._users.get(content, set())
        users.discard(path)
        if content in self._users and not users:
            del self._users[content], self._parsed[content]
            self._joined = None
