"""Fakes at the hardware edge, for the unit tests."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from handlers.rank_table.hccn import HccnLookup

HCCN = Path(__file__).parents[1] / "fixtures" / "hccn"


class Cards:
    """A server's cards as hccn_tool and hccn.conf show them: eight, all set, until told otherwise."""

    def __init__(self, directory: Path) -> None:
        self.tool = directory / "hccn_tool"
        self.conf = directory / "hccn.conf"
        program = (HCCN / "hccn_tool").read_text().split("\n", 1)[1]
        self.tool.write_text(f"#!{sys.executable} -SE\n{program}")
        self.tool.chmod(0o755)
        shutil.copy(HCCN / "hccn.conf", self.conf)
        self._answers: dict[str, list[dict[str, object]]] = {
            str(card): [{"text": str(HCCN / f"card_{card}.txt")}] for card in range(8)
        }
        self._publish()

    def say(self, card: int, *turns: dict[str, object]) -> None:
        """Let the tool answer for `card` with `turns`, one a call, the last for all later calls."""
        self._answers[str(card)] = [
            turn | {"text": str(HCCN / f"{turn['text']}.txt")} if "text" in turn else turn for turn in turns
        ]
        self._publish()

    @property
    def calls(self) -> list[str]:
        """The arguments of each call so far."""
        return (self.tool.parent / "calls.txt").read_text().splitlines()

    def lookup(self, timeout: float = 30.0) -> HccnLookup:
        """Return a look-up of these cards; only a card that hangs ever needs the time-out."""
        return HccnLookup(str(self.tool), self.conf, timeout=timeout, busy_pause=0.0)

    def _publish(self) -> None:
        (self.tool.parent / "answers.json").write_text(json.dumps(self._answers))


@pytest.fixture
def cards(tmp_path: Path) -> Cards:
    directory = tmp_path / "driver"
    directory.mkdir()
    return Cards(directory)
