"""Makes all samples: each part apart, so that one that cannot be made takes no other with it."""

import platform
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from daemon.core.root import Root
from daemon.face.metrics import families
from daemon.face.metrics.exposition import exposition
from daemon.face.metrics.families import FAMILIES
from daemon.face.metrics.family import Sample
from daemon.face.metrics.glances import Glances
from daemon.face.metrics.of_daemon import of_daemon
from daemon.face.metrics.of_disk import of_disk, of_forecast
from daemon.face.metrics.of_jobs import of_jobs
from daemon.face.metrics.of_nights import of_nights
from daemon.face.metrics.of_notifications import of_notifications
from daemon.face.metrics.of_store import of_store
from daemon.face.metrics.tally import Tally
from daemon.face.notify.standing import DIRECTORY


@dataclass(frozen=True)
class Scrape:
    """What was made at one time."""

    text: bytes
    """In Prometheus' text format."""
    failures: dict[str, Exception]
    """What went wrong with parts that could not be made, by their names."""


class Exporter:
    """Makes samples of a root. It remembers what never changes, for the next time; any thread may ask."""

    def __init__(self, root: Root, notifications: Path = DIRECTORY) -> None:
        """`notifications` is where glmd-notify says how its outbox stands."""
        self._root = root
        self._notifications = notifications
        self._tally = Tally()
        self._glances = Glances()
        self._lock = threading.Lock()

    def scrape(self, *more: Sample, now: datetime | None = None) -> Scrape:
        """Return all samples of now, and `more`."""
        with self._lock:
            return self._scrape(more, now or datetime.now(UTC))

    def _scrape(self, more: Iterable[Sample], now: datetime) -> Scrape:
        root = self._root
        parts: dict[str, Callable[[], Iterable[Sample]]] = {
            "daemon": lambda: of_daemon(root),
            "disk": lambda: of_disk(root),
            "forecast": lambda: of_forecast(root, now),
            "store": lambda: of_store(root, self._tally),
            "nights": lambda: of_nights(root, now),
            "jobs": lambda: of_jobs(root, self._glances),
            "notifications": lambda: of_notifications(root, self._notifications),
        }
        found, failures = [_build_info(), *more], dict[str, Exception]()
        for name, part in parts.items():
            began = time.perf_counter()
            try:
                found += list(part())
            except Exception as error:  # noqa: BLE001 - told by a sample, and whoever asked tells of it
                failures[name] = error
            found.append(families.COLLECTOR_SUCCESS(name not in failures, name))
            found.append(families.COLLECTOR_DURATION(round(time.perf_counter() - began, 6), name))
        return Scrape(exposition(found, FAMILIES), failures)


@cache
def _build_info() -> Sample:
    return families.BUILD_INFO(1, version("glmd"), platform.python_version())
