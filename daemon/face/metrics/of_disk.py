"""Samples of the disk, and when it will be full."""

import os
from collections.abc import Iterator
from datetime import datetime

from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.face.metrics import families
from daemon.face.metrics.family import Sample

_DAY = 86400.0


def of_disk(root: Root) -> Iterator[Sample]:
    """Yield them. Raises OSError."""
    for place, path in (("jobs", root.jobs), ("latest", root.latest)):
        found = os.statvfs(path)
        yield families.FREE(found.f_bavail * found.f_frsize, place)
        yield families.SIZE(found.f_blocks * found.f_frsize, place)


def of_forecast(root: Root, now: datetime) -> Iterator[Sample]:
    """Yield when the jobs will have filled it, as far as anything is known of that. Raises OSError, StoreError."""
    with ReadStore.open(root.store) as store:
        growth = store.growth(now)
    if growth is None:
        return
    yield families.GROWTH(growth / _DAY)
    if growth > 0:
        found = os.statvfs(root.jobs)
        yield families.FULL_IN(found.f_bavail * found.f_frsize / growth * _DAY)
