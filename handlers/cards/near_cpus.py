"""Which CPUs are near each device: on the NUMA node of its PCIe slot."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from handlers.cards.ask import ask
from handlers.cards.preflight import PATIENCE, TOOL, read_cards

_PCI = Path("/sys/bus/pci/devices")
"""sysfs-bus-pci(5): local_cpulist."""


def near_cpus(pci: Path = _PCI) -> Mapping[int, str]:
    """Return the CPUs near each device that npu-smi shows, as the kernel writes them: `0-23,96-119`.

    What cannot be told is left out: the caller does without.
    """
    tool = shutil.which(TOOL)
    if tool is None:
        return {}
    try:
        cards = read_cards(ask([tool, "info"], PATIENCE)[0])
    except OSError:
        return {}
    found = {}
    for device, card in cards.items():
        try:
            found[device] = (pci / card.bus.lower() / "local_cpulist").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    return found
