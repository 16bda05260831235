"""The devices: which job holds which now, as which rank, and which did in the last day."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from daemon.face.spells import Spell, spells, used
from daemon.face.status import seconds_since
from daemon.face.web.asking import Asked, Page
from daemon.face.web.daemon_word import DaemonWord, daemon_word
from daemon.face.web.job_rows import SIGNS
from daemon.face.web.npu_exporter import STALE, Readings
from daemon.face.web.rows import Live, Row
from daemon.face.web.site import Site
from daemon.face.web.strips import Bar, Hour, Scale, span
from handlers.units.devices import format_devices
from handlers.units.durations import format_duration

DAY = timedelta(days=1)
_EVERY = 3
"""Hours between the marks of the scale."""
_SPELLS = 50
"""That are listed."""
_SHADES = 4


@dataclass(frozen=True)
class DevicesRead:
    """What the store says of the devices."""

    devices: tuple[int, ...]
    held: dict[int, int]
    """Device → the job that holds it."""
    holders: dict[int, Job]
    """By number; without those whose rows say nothing."""
    spells: tuple[Spell, ...]
    elsewhere: tuple[Job, ...]
    """Jobs at work that Slurm has, or will have, on devices of other hosts: of those glmd shows nothing here."""
    since: datetime
    now: datetime

    def rank(self, device: int) -> int | None:
        """Return which rank of its job a device has; None where it is not said."""
        job = self.holders.get(self.held.get(device, 0))
        return job.devices.index(device) if job is not None and device in job.devices else None


@dataclass(frozen=True)
class DeviceStrip:
    """A device's last day."""

    device: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Held:
    """A time in which a job had devices."""

    job: int
    label: str
    devices: str
    when: str
    began: datetime
    ended: datetime


@dataclass(frozen=True)
class DevicesPage:
    """What the page shows."""

    live: Live
    elsewhere: tuple[Job, ...]
    hours: Sequence[Hour]
    strips: tuple[DeviceStrip, ...]
    used: str
    held: tuple[Held, ...]
    more: int


def devices(asked: Asked) -> Page:
    """Return the page. Raises StoreError, OSError."""
    found = read_devices(asked.site)
    scale = Scale(found.since, found.now)
    part = used(found.spells, len(found.devices), found.since, found.now)
    content = DevicesPage(
        live=_live(found, asked),
        elsewhere=found.elsewhere[:_SPELLS],
        hours=scale.hours(_EVERY),
        strips=tuple(DeviceStrip(device, _bars(device, found.spells, scale)) for device in found.devices),
        used="" if part is None else asked.words.say("night", "used", part=f"{part:.0%}"),
        held=tuple(_held(spell) for spell in found.spells[:_SPELLS]),
        more=max(0, len(found.spells) - _SPELLS),
    )
    return Page(
        "devices.html", asked.say("devices"), content, tab="devices", live="devices", revision=content.live.revision
    )


def live(asked: Asked) -> Live:
    """Return what of the page may change. Raises StoreError, OSError."""
    return _live(read_devices(asked.site), asked)


def read_devices(site: Site) -> DevicesRead:
    """Return what is known of the devices. Raises StoreError."""
    daemon = daemon_word(site.root)
    if not site.root.store.exists():
        now = datetime.now(UTC)
        return DevicesRead(daemon.devices, {}, {}, (), (), now - DAY, now)
    return site.kept.of(("devices", daemon.devices), site.root.store, lambda: _read(site, daemon))


def _read(site: Site, daemon: DaemonWord) -> DevicesRead:
    now = datetime.now(UTC)
    with ReadStore.open(site.root.store) as store:
        held = store.locks()
        holders = store.readable_among({*held.values()})
        found = tuple(spells(store, now - DAY, now))
        elsewhere = tuple(job for job in store.jobs({State.SUBMITTED, State.TRAINING}) if job.nodes)
    known = {*daemon.devices, *held, *(device for spell in found for device in spell.job.devices)}
    return DevicesRead(tuple(sorted(known)), held, holders, found, elsewhere, now - DAY, now)


def _live(found: DevicesRead, asked: Asked) -> Live:
    rows = tuple(_row(device, found, asked) for device in found.devices)
    ended = " ".join(f"{spell.job.id} {spell.job.state}" for spell in found.spells[:_SPELLS])
    heard = heard_of(asked)
    rows = tuple(_with_use(row, heard, asked) for row in rows)
    through = " ".join(str(job.id) for job in found.elsewhere)
    return Live(_exporter(heard, asked), {"devices": rows}, f"{found.devices} {ended} {through}")


def heard_of(asked: Asked) -> Readings | None:
    """Return what npu-exporter says; None where the settings name none."""
    exporter = asked.site.npu_exporter
    return None if exporter is None else exporter.readings()


def _exporter(heard: Readings | None, asked: Asked) -> dict[str, str]:
    """Return what there is to say of npu-exporter: when it was heard, and what prevents hearing more."""
    if heard is None:
        return {}
    trouble = asked.words.say("devices", heard.trouble, why=heard.why) if heard.trouble else ""
    at = "" if heard.measured is None else heard.measured.isoformat()
    return {"exporter_trouble": trouble and f"▲ {trouble}", "exporter_at": at}


def _with_use(row: Row, heard: Readings | None, asked: Asked) -> Row:
    use = None if heard is None else heard.devices.get(int(row.key))
    if heard is None or use is None or heard.measured is None:
        return row
    health = "" if use.healthy is None else asked.words.say("devices", "well" if use.healthy else "unwell")
    if use.healthy is False or use.error:
        health = f"▲ {health}" + (f" {use.error:X}" if use.error else "")
    figures = [
        "" if use.used is None else f"{use.used:.0f}%",
        "" if use.memory is None or use.memory_size is None else f"{use.memory:.0f}/{use.memory_size:.0f} MB",
        "" if use.celsius is None else f"{use.celsius:.0f} °C",
        "" if use.watts is None else f"{use.watts:.0f} W",
    ]
    age = seconds_since(heard.measured, datetime.now(UTC))
    old = asked.say("ago", time=format_duration(age // 60 * 60)) if age > STALE else ""
    cells = {"health": health, "use": " · ".join(figure for figure in (*figures, old) if figure)}
    return replace(row, cells={**row.cells, **cells})


def _row(device: int, found: DevicesRead, asked: Asked) -> Row:
    number = found.held.get(device)
    if number is None:
        return Row(str(device), asked.url("/devices"), "free", {"device": str(device), "state": asked.say("free")})
    job, rank = found.holders.get(number), found.rank(device)
    cells = {
        "device": str(device),
        "state": str(number) if job is None else f"{job.id} {job.name}",
        "sign": "" if job is None else SIGNS[job.state],
        "rank": "" if rank is None else asked.words.frame("rank", rank=rank),
    }
    return Row(str(device), asked.url(f"/jobs/{number}"), "held", cells)


def _bars(device: int, found: Iterable[Spell], scale: Scale) -> tuple[Bar, ...]:
    bars = (
        scale.bar(
            spell.began, spell.ended, f"job{spell.job.id % _SHADES}", f"{spell.job.id} {span(spell.began, spell.ended)}"
        )
        for spell in found
        if device in spell.job.devices
    )
    return tuple(bar for bar in bars if bar is not None)


def _held(spell: Spell) -> Held:
    job = spell.job
    when = span(spell.began, spell.ended)
    return Held(job.id, f"{job.id} {job.name}", format_devices(job.devices), when, spell.began, spell.ended)
