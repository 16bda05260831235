"""What the store says of a night, for all pages that tell of one: read once for everybody who looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from daemon.core.promotions import Promotion
from daemon.core.read_jobs import Transition
from daemon.core.read_store import ReadStore
from daemon.face.digest import Digest, digest, last_begun
from daemon.face.nights import Run, noon_before, runs_since
from daemon.face.spells import spells, used
from daemon.face.web.daemon_word import daemon_word
from daemon.face.web.site import Site

MOST = 100
"""Jobs of a night whose strips are drawn, of runs and of others."""


@dataclass(frozen=True)
class NightRead:
    """A night."""

    digest: Digest
    newest: date
    """The last night that has begun."""
    best: Run | None
    """The run with the lowest final loss."""
    best_before: Run | None
    """The same of the night before."""
    files: tuple[Promotion, ...]
    """What its jobs have promoted."""
    used: float | None
    """Which part of the devices' time was used, from 0 to 1; None where nobody knows which there are."""
    histories: Mapping[int, tuple[Transition, ...]]
    now: datetime
    """When it was read."""

    @property
    def is_newest(self) -> bool:
        """Whether there is none behind it."""
        return self.digest.night >= self.newest


def read_night(site: Site, night: date | None = None) -> NightRead:
    """Return what is known of the night to that morning, by default the last that has begun. Raises StoreError."""
    return site.kept.of(("night", night), site.root.store, lambda: _read(site, night))


def _read(site: Site, night: date | None) -> NightRead:
    now = datetime.now(UTC)
    with ReadStore.open(site.root.store) as store:
        newest = last_begun(store, site.hours, now)
        found = digest(store, night or newest, site.hours, now)
        before = runs_since(store, noon_before(found.night - timedelta(days=1)), noon_before(found.night))
        runs = [details.run for details in found.runs]
        jobs = [run.job for run in runs if run.job is not None][:MOST]
        jobs += [other.job for other in found.others][:MOST]
        until = min(found.morning, max(now, found.evening))
        held = spells(store, found.evening, until)
        devices = {*daemon_word(site.root).devices, *(device for spell in held for device in spell.job.devices)}
        return NightRead(
            digest=found,
            newest=newest,
            best=_best(runs),
            best_before=_best(run for of_cycle in before.values() for run in of_cycle),
            files=store.promotions_of_jobs([job.id for job in jobs]),
            used=used(held, len(devices), found.evening, until),
            histories=store.histories([job.id for job in jobs]),
            now=now,
        )


def _best(runs: Iterable[Run]) -> Run | None:
    known = [(run.result.final_loss, run) for run in runs if run.result and run.result.final_loss is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None
