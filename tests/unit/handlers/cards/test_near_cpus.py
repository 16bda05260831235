"""Which CPUs are near each device."""

from pathlib import Path

import pytest

from handlers.cards.near_cpus import near_cpus
from handlers.cards.preflight import TOOL, read_cards

PRINTED = Path(__file__).parents[3] / "fixtures" / "npu_smi" / "910b.txt"


def tool(path: Path, text: str) -> None:
    """Put an npu-smi into `path` that runs `text`."""
    (path / TOOL).write_text(f"#!/bin/sh\n{text}\n")
    (path / TOOL).chmod(0o755)


def test_the_kernel_says_it_of_the_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the address that npu-smi prints; what the kernel does not know is left out."""
    tool(tmp_path, f"/bin/cat {PRINTED}")
    monkeypatch.setenv("PATH", str(tmp_path))
    cards = read_cards(PRINTED.read_text())
    for device in (0, 3):
        slot = tmp_path / cards[device].bus.lower()
        slot.mkdir()
        (slot / "local_cpulist").write_text(f"{device}-{device + 2}\n")
    assert near_cpus(tmp_path) == {0: "0-2", 3: "3-5"}


@pytest.mark.parametrize("text", ("echo dcmi module initialize failed", None))
def test_without_npu_smi_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """Nor where it fails."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if text is not None:
        tool(tmp_path, text)
    assert near_cpus(tmp_path) == {}
