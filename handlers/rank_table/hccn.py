"""The devices' own addresses: from `hccn_tool`, compared with hccn.conf and, card by card, replaced by it."""

import ipaddress
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.cards.ask import ask
from handlers.units.devices import format_devices

DRIVER_TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"
"""Where the driver puts the tool; it is often not in PATH."""
DEFAULT_CONF = Path("/etc/hccn.conf")

_BUSY = "hccn_tool is busy"
_ADDRESS_LINE = re.compile(r"\s*address_(\d+)\s*=\s*(.*?)\s*", re.ASCII)


@dataclass(frozen=True)
class Addresses:
    """What is known of some devices' addresses."""

    ips: dict[int, str]
    """By device; a device without one is in `missing` instead."""
    warnings: tuple[str, ...]
    missing: dict[int, str]
    """Why, by device."""


@dataclass(frozen=True)
class HccnLookup:
    """Where to look for addresses, and how long to wait for one card, in seconds."""

    tool: str = "hccn_tool"
    """A path, or a name to be found in PATH."""
    conf: Path = DEFAULT_CONF
    timeout: float = 10.0
    busy_pause: float = 0.5
    """Before asking again when another process uses the tool, twice at most."""

    def addresses(self, devices: Sequence[int]) -> Addresses:
        """Look up each of `devices` (physical ids, which is what the tool's -i takes).

        The tool wins over the file. A card for which the tool gives no address takes the file's, with a warning that
        says why; one card's trouble never changes where another's address comes from.
        """
        program = self._program()
        conf = _Conf(self.conf)
        ips: dict[int, str] = {}
        missing: dict[int, str] = {}
        replaced: dict[str, list[int]] = {}  # why the file was used: for which devices
        differing: list[str] = []
        for device in devices:
            asked = self._ask(program, device)
            written = conf.address(device)
            if asked.ip and written.ip and asked.ip != written.ip:
                differing.append(
                    f"device {device}: hccn_tool says {asked.ip}, {self.conf} says {written.ip}; "
                    f"used {asked.ip}. Correct the file: it is out of date"
                )
            if asked.ip or written.ip:
                ips[device] = asked.ip or written.ip
            if not asked.ip and written.ip:
                replaced.setdefault(asked.reason, []).append(device)
            elif not asked.ip:
                missing[device] = f"{asked.reason}; {written.reason}"
        fallbacks = [
            f"device{'s' * (len(those) > 1)} {format_devices(those)}: {why}; used {self.conf}, which may be out of date"
            for why, those in replaced.items()
        ]
        return Addresses(ips, (*differing, *fallbacks), missing)

    def _program(self) -> str | None:
        return shutil.which(self.tool) or (shutil.which(DRIVER_TOOL) if self.tool == "hccn_tool" else None)

    def _ask(self, program: str | None, device: int) -> "_Answer":
        if not program:
            return _Answer(reason=f"{self.tool} is not installed or not executable")
        argv = [program, "-i", str(device), "-ip", "-g"]
        for _ in range(2):
            answer = _answer(argv, self.timeout)
            if _BUSY not in answer.reason:
                return answer
            time.sleep(self.busy_pause)  # the tool takes one caller at a time: a monitor may be using it
        return _answer(argv, self.timeout)


def valid_device_ip(text: str) -> str | None:
    """Return `text` as an address a card can have, in its canonical form, or None.

    An unset card is shown as `-.-.-.-` or 0.0.0.0; `ipaddr` is the tool's word and needs no guess at colons.
    """
    try:
        ip = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return None if ip.is_unspecified or ip.is_loopback or ip.is_multicast else str(ip)


@dataclass(frozen=True)
class _Answer:
    """One source's word on one device: an address, or the reason for none."""

    ip: str = ""
    reason: str = ""


class _Conf:
    """hccn.conf: lines `address_N=IP`, among others. As for the stock tool, a later line wins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[int, tuple[int, str]] = {}
        self._trouble = ""
        try:
            text = path.read_text(errors="replace")
        except OSError as error:
            self._trouble = f"{path} cannot be read ({error.strerror})"
            return
        for number, line in enumerate(text.splitlines(), start=1):
            if match := _ADDRESS_LINE.fullmatch(line):
                self._lines[int(match[1])] = (number, match[2])

    def address(self, device: int) -> _Answer:
        if self._trouble:
            return _Answer(reason=self._trouble)
        if device not in self._lines:
            return _Answer(reason=f"{self._path} has no address_N line for it")
        number, text = self._lines[device]
        ip = valid_device_ip(text)
        return _Answer(ip=ip) if ip else _Answer(reason=f"{self._path}:{number}: {text!r} is not a device's address")


def _answer(argv: Sequence[str], timeout: float) -> _Answer:
    """Run the tool for one card and read what it prints: `ipaddr:192.168.100.101`, `netmask:…`, or an error text."""
    try:
        output, exit_code = ask(argv, timeout)
    except OSError as error:
        return _Answer(reason=f"hccn_tool cannot be run ({error.strerror})")
    if exit_code is None:
        return _Answer(reason=f"hccn_tool did not end within {timeout:g} s")
    first_line = next((line.strip() for line in output.splitlines() if line.strip()), "nothing")
    if exit_code:
        return _Answer(reason=f"hccn_tool failed with exit code {exit_code} and said {first_line[:120]!r}")
    match = re.search(r"^\s*ipaddr\s*:(.*)$", output, re.MULTILINE)
    ip = valid_device_ip(match[1]) if match else None
    return _Answer(ip=ip) if ip else _Answer(reason=f"hccn_tool gave no address but said {first_line[:120]!r}")
