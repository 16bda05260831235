"""What is in each shard, found out once: by a walk through its records, or by likeness to a shard walked before."""

from dataclasses import dataclass
from pathlib import Path

import xxhash

from handlers.ckpt import CkptFile, Fingerprint, walk
from handlers.ckpt.files.opening import opened
from handlers.ckpt.formats.twins import Frame


@dataclass(frozen=True, eq=False)
class Content:
    """Names, shapes and types of a shard's entries, and whether it leaves others out; shared by all that are alike."""

    digest: str
    file: CkptFile
    """The first shard found to have them."""
    frame: Frame | None


class Contents:
    """All that the shards of a tree contain. Memory goes by what differs, not by shards."""

    def __init__(self) -> None:
        self._by_digest: dict[str, Content] = {}
        self._by_size: dict[int, list[Content]] = {}

    def of(self, path: Path) -> tuple[Fingerprint, Content]:
        """Find out what is in a shard, and of which state of the file that is true; raises the errors of `walk`."""
        like = self._alike(path)
        if like is not None:
            return like
        file = walk(path)
        digest = _digest(file)
        content = self._by_digest.get(digest)
        if content is None or content.file.fingerprint.size != file.fingerprint.size:
            content = Content(digest, file, Frame.of(file))
            self._by_digest[digest] = content
            self._by_size.setdefault(file.fingerprint.size, []).append(content)
        return file.fingerprint, content

    def _alike(self, path: Path) -> tuple[Fingerprint, Content] | None:
        """Compare a shard with those of its size; None where it is like none."""
        with opened(path) as (descriptor, fingerprint):
            for content in self._by_size.get(fingerprint.size, ()):
                if content.frame is not None and content.frame.is_of(descriptor):
                    return fingerprint, content
        return None

    def keep(self, digests: set[str]) -> None:
        """Forget what no shard has any more."""
        self._by_digest = {digest: self._by_digest[digest] for digest in self._by_digest if digest in digests}
        self._by_size = {}
        for content in self._by_digest.values():
            self._by_size.setdefault(content.file.fingerprint.size, []).append(content)


def _digest(file: CkptFile) -> str:
    entries = sorted((entry.name, entry.dims, entry.type) for entry in file.entries.values())
    return xxhash.xxh3_128_hexdigest(repr((file.lacks_replicas, entries)).encode())
