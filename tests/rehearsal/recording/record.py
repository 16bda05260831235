"""Records `make demo` for README.md: `make recording`.

What it prints is real, line by line; the time that it takes is in the lines. Only the waits are cut.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.rehearsal.recording.drawing import draw
from tests.rehearsal.recording.terminal import play

HOUSE = Path(__file__).parents[3]
FILE = HOUSE / "docs" / "demo.svg"
MOST = 60_000
"""Bytes of the recording."""
COLUMNS = 118
"""Of the terminal: its longest line has a place there."""
_COMMAND = "make demo"
_LEFT_OUT = frozenset({"NO_COLOR", "COLORTERM", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"})
"""Variables of the environment: it is a terminal of sixteen colours, and no part of another make."""
_TITLE = "make demo: a YAML is dropped, two ranks train, their shards become one checkpoint, which is then checked"


def main() -> None:
    """Record it. Raises RuntimeError where it fails, or is too large."""
    kept = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    moments = play(
        _COMMAND.split(), kept | {"TERM": "xterm", "COLUMNS": str(COLUMNS), "TMPDIR": "/tmp"}, COLUMNS  # noqa: S108
    )  # fmt: skip
    picture = draw(_COMMAND, moments, _TITLE)
    root = re.search(r"rm -r (\S+)", "\n".join(said(picture)))
    if root is None:
        raise RuntimeError("the demo does not say where it was; see what it printed")
    shutil.rmtree(root[1])
    if (size := len(picture.encode())) > MOST:
        raise RuntimeError(f"{size} bytes, more than {MOST}: draw fewer states of the bar")
    FILE.write_text(picture, "utf-8")
    sys.stdout.write(f"{FILE.relative_to(HOUSE)}: {size} bytes\n")


def said(picture: str) -> list[str]:
    """Return the lines that the recording ends with."""
    texts = ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314 - ours
    return ["".join(text.itertext()) for text in texts if text.get("class") == "said"]


def told(lines: list[str]) -> list[str]:
    """Return what lines of a demo say, each once, without what differs from run to run: times, numbers, directories."""
    text = "\n".join(line.rstrip() for line in lines)
    (root,), (glmd,) = set(re.findall(r"rm -r (\S+)", text)), set(re.findall(r"^  (\S+) --root", text, re.MULTILINE))
    text = text.replace(root, "ROOT").replace(f"  {glmd} ", "  glmd ")
    text = re.sub(r" \((?:\d+[dhms] ?)+\)$", "", text, flags=re.MULTILINE)
    return list(dict.fromkeys(re.sub(r"\d+(?:\.\d+)?", "0", text).split("\n")))


if __name__ == "__main__":
    main()
