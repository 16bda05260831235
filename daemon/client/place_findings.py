"""`glmd doctor` on the root and the disk that it is on."""

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from daemon.client.finding import Finding, Verdict
from daemon.core.database import StoreError
from daemon.core.growth import DAYS
from daemon.core.owner import ElsewhereError, OwnerError
from daemon.core.read_store import ReadStore
from daemon.core.retention import plan
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.store_place import is_unshared, root_of, unfit
from handlers.errors import RefusedError
from handlers.validate.disk_estimate import in_words

ROOM = 150e9
"""Bytes: two saves of GLM-6B with optimizer state, 63 GB each, and the merged file."""
SOON = 7
"""Days: who is told that the disk is full then can still do something."""


def of_root(settings: Settings) -> Finding:
    """Look whether the root can be used by anyone who asks."""
    root = Root(settings.root)
    if not root.path.exists():
        parent = _existing(root.path)
        if os.access(parent, os.W_OK | os.X_OK):
            return Finding("root", Verdict.OK, f"{root.path} is not there yet; glmd makes it when it starts")
        advice = f"make it and give it to the user of glmd: install -d -m 2750 -o glm -g glm {root.path}"
        return Finding("root", Verdict.MISSING, f"{root.path} is not there, and you may not make it", advice)
    if not root.path.is_dir():
        return Finding("root", Verdict.MISSING, f"{root.path} is no directory", "move it away, or name another root")
    is_mine = root.path.stat().st_uid == os.geteuid()
    for directory in (root.path, root.inbox, root.jobs):
        writes = is_mine or directory == root.inbox  # a member of the group drops files, and reads the rest
        if directory.exists() and not os.access(directory, os.R_OK | os.X_OK | (os.W_OK if writes else 0)):
            advice = "ask for membership in the group glm, then log in again"
            what = f"you may not {'write to' if writes else 'read'} {directory}"
            return Finding("root", Verdict.MISSING, what, advice)
    return _of_store(root, settings) or Finding(
        "root", Verdict.OK, f"{root.path} can be {'written to' if is_mine else 'dropped into and read'}"
    )


def _of_store(root: Root, settings: Settings) -> Finding | None:
    """Return what is wrong with the store, or prevents reading it; None for nothing."""
    if why := unfit(settings, root_of(settings)):
        return Finding("root", Verdict.MISSING, why, "glmd does not start with this")
    try:
        if root.store.exists():
            ReadStore.open(root.store).close()
    except ElsewhereError as error:
        return Finding("root", Verdict.NOTE, str(error), "glmd doctor there says more")
    except (StoreError, OwnerError) as error:
        return Finding("root", Verdict.MISSING, str(error), "see docs/troubleshooting.md")
    if is_unshared(settings, root):
        text = f"{root.path} is on a file system of this host, and nodes have to see it at the same path"
        return Finding(
            "root", Verdict.NOTE, text, "make sure that this host exports it to them; for one host it is enough"
        )
    return None


def of_disk(settings: Settings) -> Finding:
    """Look how much is free where jobs are written, and for how long that will do."""
    place = _existing(settings.root)
    free = shutil.disk_usage(place).free
    growth = _growth(settings)
    text = f"{free / 1e9:.1f} GB free at {place}{_in_days(free, growth)}"
    if free < ROOM:
        advice = f"a fine-tune of GLM-6B takes about {ROOM / 1e9:.0f} GB: two saves and the merged file"
        return Finding("disk", Verdict.NOTE, text, advice)
    if growth is not None and free < SOON * growth:
        return Finding("disk", Verdict.NOTE, text, "glmd prune --dry-run says what could go")
    return Finding("disk", Verdict.OK, text)


def of_retention(settings: Settings) -> Finding:
    """Look what `glmd prune` would remove."""
    root = Root(settings.root)
    try:
        if not root.store.exists():
            return Finding("retention", Verdict.OK, "no jobs yet")
        found = plan(root, settings, datetime.now(UTC), is_asked=True)
    except (StoreError, RefusedError, OSError) as error:
        return Finding("retention", Verdict.NOTE, f"glmd does not know what it could remove of ended jobs: {error}")
    by_itself = sum(item.bytes for item in found.going if item.is_automatic)
    text = f"{found.summary('of ended jobs is not kept')}; glmd removes {in_words(by_itself)} of it by itself"
    if found.bytes > by_itself:
        return Finding("retention", Verdict.NOTE, text, "glmd prune removes it; --dry-run says what, and why")
    return Finding("retention", Verdict.OK, text if found.going else found.summary(""))


def _growth(settings: Settings) -> float | None:
    with contextlib.suppress(StoreError, RefusedError), ReadStore.open(Root(settings.root).store) as store:
        return store.growth(datetime.now(UTC))
    return None


def _in_days(free: int, growth: float | None) -> str:
    if growth is None:
        return ""
    if growth <= 0:
        return f"; jobs took no more of it in {DAYS} days"
    days = int(free / growth)
    when = f"about {days} day{'s' * (days > 1)}" if days else "less than a day"
    return f"; full in {when} at {in_words(int(growth))} a day"


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
