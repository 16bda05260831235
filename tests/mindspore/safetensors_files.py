"""Safetensors files read byte for byte, by nothing of glmd's or MindSpore's."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stored:
    """A tensor as a file holds it."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes


def stored(paths: Iterable[Path]) -> dict[str, Stored]:
    """Return all that the files hold together; no name may be in two of them."""
    found: dict[str, Stored] = {}
    for path in paths:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        for name, entry in json.loads(content[8:start]).items():
            if name != "__metadata__":
                assert name not in found, f"{name} is twice in {path.parent}"
                begin, end = (start + offset for offset in entry["data_offsets"])
                found[name] = Stored(entry["dtype"], tuple(entry["shape"]), content[begin:end])
    return found


def without(path: Path, name: str) -> None:
    """Take a tensor out of a file, which is written anew."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8:start]), b""
    kept = {"__metadata__": header.pop("__metadata__")}
    for each, entry in header.items():
        if each != name:
            begin, end = entry["data_offsets"]
            kept[each] = entry | {"data_offsets": [len(body), len(body) + end - begin]}
            body += content[start + begin : start + end]
    text = json.dumps(kept).encode()
    text += b" " * (-len(text) % 8)
    path.unlink()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
