"""Whether devices are fit for a training, looked at before it takes them: nothing is changed, nobody is ended.

`npu-smi info` prints two rows a chip (NPU, name, health; chip, perhaps its physical id) and one row a process, as below
in public reports of versions 1.8 to 26.0; newer ones have more columns to the right. No card was at hand to try it on.

    | 0     910B3               | OK            | 91.0        36                0    / 0             |
    | 0                         | 0000:C1:00.0  | 0           0    / 0          3401 / 65536         |
    | 2       0                 | 1333928       | python                   | 37709                   |
"""

import re
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from handlers.cards.ask import ask
from handlers.codes import Code
from handlers.units.devices import format_devices

TOOL = "npu-smi"
PATIENCE = 60.0
"""Seconds for npu-smi, which asks each card in turn."""

_HOST_PORT = 60000
"""HCCL listens on this and the next 15 ports of the host, one a device, by its physical id (HCCL_IF_BASE_PORT)."""

_NPU = re.compile(r"\|\s*(?P<npu>\d+)\s+(?P<name>[\w-]+)\s*\|\s*(?P<health>[A-Za-z]+)\s*\|")
_CHIP = re.compile(r"\|\s*(?P<chip>\d+)(?:\s+(?P<physical>\d+))?\s*\|\s*(?P<bus>[0-9A-Fa-f]{4}:[0-9A-Fa-f:.]+)\s*\|")
_PROCESS = re.compile(
    r"\|\s*(?P<npu>\d+)\s+(?P<chip>\d+)\s*\|\s*(?P<pid>\d+)\s*\|\s*(?P<name>[^|]*?)\s*\|\s*(?P<memory>\d+)\s*\|"
)


@dataclass(frozen=True)
class Process:
    """A process that holds memory of a device."""

    pid: int
    name: str
    """Empty where npu-smi may not see it: of another user, or in a container."""
    memory: int
    """MB."""

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.name or 'name not shown'}, {self.memory} MB)"


@dataclass(frozen=True)
class Card:
    """A device as npu-smi shows it."""

    health: str
    processes: tuple[Process, ...]
    bus: str
    """Where it is on the PCIe bus: 0000:C1:00.0."""


@dataclass(frozen=True)
class Obstacle:
    """One thing that prevents a training."""

    text: str
    passes: bool
    """Whether it may go away by itself."""
    code: str = ""


def read_cards(printed: str) -> Mapping[int, Card]:
    """Return what `npu-smi info` printed, by physical device id; empty where it is not its table.

    A rank also opens a context of some 100 MB on device 0: a process counts where it holds most.
    """
    places: dict[tuple[int, int], int] = {}
    shown: dict[int, tuple[str, str]] = {}
    held: dict[int, tuple[int, Process]] = {}
    npu: tuple[int, str] | None = None
    for line in printed.splitlines():
        if process := _PROCESS.match(line):
            device = places.get((int(process["npu"]), int(process["chip"])))
            found = Process(int(process["pid"]), process["name"], int(process["memory"]))
            if device is not None and (found.pid not in held or held[found.pid][1].memory < found.memory):
                held[found.pid] = device, found
        elif top := _NPU.match(line):
            npu = int(top["npu"]), top["health"]
        elif npu is not None and (chip := _CHIP.match(line)):
            # Cards of one chip have no column for the physical id: it is the card's number.
            device = int(chip["physical"]) if chip["physical"] else npu[0]
            places[npu[0], int(chip["chip"])] = device
            shown[device] = npu[1], chip["bus"]
            npu = None
    return {
        device: Card(health, tuple(process for where, process in held.values() if where == device), bus)
        for device, (health, bus) in shown.items()
    }


def look_at_cards(devices: Sequence[int]) -> tuple[tuple[Obstacle, ...], str]:
    """Return what prevents a training on these devices, and why they were not looked at, if they were not."""
    tool = shutil.which(TOOL)
    if tool is None:
        return (), f"there is no {TOOL} in PATH"
    try:
        printed, exit_code = ask([tool, "info"], PATIENCE)
    except OSError as error:
        return (), f"{TOOL} info: {error}"
    if exit_code is None:
        return (), f"{TOOL} info did not end within {PATIENCE:g} s"
    cards = read_cards(printed)
    if not cards:
        words = printed.strip().splitlines()
        return (), f"{TOOL} info (exit code {exit_code}): {words[-1] if words else 'it printed nothing'}"
    return tuple(_against(devices, cards)), ""


def _against(devices: Sequence[int], cards: Mapping[int, Card]) -> Iterable[Obstacle]:
    absent = [device for device in devices if device not in cards]
    if absent:
        yield Obstacle(
            f"{format_devices(absent)} are not among those that {TOOL} shows", passes=False, code=Code.DEVICE_ABSENT
        )
    for device in devices:
        if device not in cards:
            continue
        card = cards[device]
        if card.health != "OK":
            text = f"the health of device {device} is {card.health} ({TOOL} info)"
            yield Obstacle(text, passes=False, code=Code.DEVICE_UNHEALTHY)
        if card.processes:
            text = f"device {device} is in use by {', '.join(map(str, card.processes))}"
            yield Obstacle(text, passes=True, code=Code.DEVICE_IN_USE)


def look_at_ports(devices: Sequence[int], environment: Mapping[str, str]) -> tuple[Obstacle, ...]:
    """Return which of the host's ports that HCCL wants for these devices cannot be had.

    The port 16666 on the devices cannot be seen from here; a cluster's scheduler gets a port that is free.
    """
    base = environment.get("HCCL_IF_BASE_PORT", "")
    first = int(base) if base.isdecimal() and int(base) < 1 << 16 else _HOST_PORT
    taken = [first + device for device in devices if not _is_free(first + device)]
    if not taken:
        return ()
    ports = ", ".join(map(str, taken))
    text = f"port {ports} of this host is in use, and HCCL needs it: see ss -tnap"
    return (Obstacle(text, passes=True, code=Code.DEVICE_PORT_IN_USE),)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that is only waiting to end is none
        try:
            probe.bind(("", port))
        except (OSError, OverflowError):
            return False
        return True
