"""What npu-exporter (MindCluster, hiascend.com dlug_api_004) says of the devices, in Prometheus' text format."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(
    r"npu_chip_info_(?P<name>[a-z_]+)\{(?P<labels>(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\}\s+(?P<value>\S+)(?:\s+(?P<at>\d{1,18}))?\s*",
    re.ASCII,
)
_ID = re.compile(r'(?:^|,)\s*id="(\d{1,4})"', re.ASCII)
MOST_DEVICES = 256


@dataclass(frozen=True)
class DeviceUse:
    """How a device is, and what of it is used; None for what the exporter does not say."""

    healthy: bool | None = None
    error: int | None = None
    """Its error code; 0 for none."""
    used: float | None = None
    """Of its cores, in percent."""
    memory: float | None = None
    """On its chip, that is used, in MB."""
    memory_size: float | None = None
    celsius: float | None = None
    watts: float | None = None

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "healthy": self.healthy,
            "error": self.error,
            "used_percent": self.used,
            "memory_mb": self.memory,
            "memory_size_mb": self.memory_size,
            "celsius": self.celsius,
            "watts": self.watts,
        }


@dataclass(frozen=True)
class Figures:
    """What one answer of the exporter says."""

    devices: Mapping[int, DeviceUse]
    measured: float | None
    """When the newest of its figures was measured, in seconds since 1970; None where it does not say."""


def read(text: str) -> Figures:
    """Return what is said of each device; nothing of one whose number is none."""
    found: dict[int, dict[str, float]] = {}
    newest: float | None = None
    for line in text.splitlines():
        sample = _SAMPLE.fullmatch(line)
        number = _ID.search(sample["labels"]) if sample else None
        value = _number(sample["value"]) if sample else None
        if sample is None or number is None or value is None:
            continue
        device = int(number[1])
        if device not in found and len(found) >= MOST_DEVICES:
            continue
        # The same figure comes once more for each container that uses the device.
        found.setdefault(device, {}).setdefault(sample["name"], value)
        if sample["at"] is not None:
            newest = max(newest or 0.0, int(sample["at"]) / 1000)
    return Figures(
        {device: _use(figures) for device, figures in sorted(found.items()) if _says_something(figures)}, newest
    )


def _use(figures: Mapping[str, float]) -> DeviceUse:
    health, error = figures.get("health_status"), figures.get("error_code")
    return DeviceUse(
        healthy=None if health is None else health == 1,
        error=None if error is None else int(error),
        used=figures.get("overall_utilization", figures.get("utilization")),
        memory=figures.get("hbm_used_memory", figures.get("used_memory")),
        memory_size=figures.get("hbm_total_memory", figures.get("total_memory")),
        celsius=figures.get("temperature"),
        watts=figures.get("power"),
    )


def _says_something(figures: Iterable[str]) -> bool:
    return not {*figures}.isdisjoint(_KNOWN)


_KNOWN = frozenset(
    {"health_status", "error_code", "utilization", "overall_utilization", "hbm_used_memory", "hbm_total_memory"}
    | {"used_memory", "total_memory", "temperature", "power"}
)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1 << 53 else None
