"""What no rule of retention may remove: what `latest` leads to or could be led back to, and what others still read.

Whoever could read a job's files says so in a text: its dropped file, its plan, the settings, a template. Each path is
followed, also through links; what leads into a job's directory keeps all of that job.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from daemon.core.promotions import Promotion
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job
from handlers.ckpt import CkptError
from handlers.ckpt.files.bounded import read_bounded
from handlers.host.reach import reach
from handlers.merging.latest import leads_to, real
from handlers.records.job_dir import is_number
from handlers.records.train_plan import MOST_PLAN_BYTES

_PATH = re.compile(r"/[^\s\"'\[\]{},|&;<>#?*]+")
_LABEL = re.compile(r"jobs/(\d{1,15})-", re.ASCII)

Protected = Mapping[int, str]
"""Jobs, each with why, for people."""


def protected_outputs(store: ReadStore, root: Root, settings: Settings) -> Protected:
    """Return the jobs whose merged outputs `latest` leads to, a rollback could, or a cycle goes on from."""
    found: dict[int, str] = {}
    for link in sorted(root.latest.iterdir()):
        _note(found, _job_at(leads_to(link), root), f"latest/{link.name} leads to it")
    for prefix in sorted(store.promoted_prefixes()):
        present = store.standing(prefix).present
        _note(found, _job_of(present, root), f"latest/{prefix} is to lead to it")
        here = present.target if present else ""
        earlier = dict.fromkeys(_job_of(one, root) for one in store.promoted(prefix) if one.target != here)
        for job in list(earlier)[: settings.retention.of(prefix).keep.rollback]:
            _note(found, job, f"glmd rollback {prefix} could go back to it")
    for base in store.bases():
        _note(found, _job_of(base, root), f"nightly cycle {base.cycle} goes on from it")
    return found


def protected_jobs(root: Root, settings: Settings, readers: Collection[Job]) -> Protected:
    """Return the jobs of which `readers`, the settings, or a file that waits may read anything. Raises OSError."""
    found: dict[int, str] = {}
    for reader in readers:
        if reader.continues is not None:
            _note(found, reader.continues, f"job {reader.id} goes on from it")
    for who, own, text in _texts(root, settings, readers):
        for job in _named(text, root):
            if job != own:
                _note(found, job, f"{who} names it")
    return found


def _texts(root: Root, settings: Settings, readers: Collection[Job]) -> Iterator[tuple[str, int | None, str]]:
    """Yield who says something, which job that is, and what it says."""
    yield "a setting", None, json.dumps(settings.model_dump(mode="json"), ensure_ascii=False)
    for cycle in settings.nightly:
        reach(cycle.template)
        yield str(cycle.template), None, _read(cycle.template)
    for path in (*root.inbox.glob("[!.]*"), *root.claims.glob("*/*")):
        yield str(path), None, _read(path)
    for reader in readers:
        directory = reader.directory(root.path)
        for path in (directory.submitted, directory.plan):
            yield f"job {reader.id}", reader.id, _read(path)


def _read(path: Path) -> str:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, CkptError):  # nobody can run that
        if path.is_file():
            return read_bounded(path, MOST_PLAN_BYTES).decode("utf-8", "replace")
    return ""


def _named(text: str, root: Root) -> frozenset[int]:
    """Return the jobs into whose directories a text leads."""
    found = {int(number) for number in _LABEL.findall(text)}
    for path in dict.fromkeys(_PATH.findall(text)):
        reach(path)
        found |= {job for job in (_job_at(real(Path(path)), root),) if job is not None}
    return frozenset(found)


def _job_of(promotion: Promotion | None, root: Root) -> int | None:
    return None if promotion is None else _job_at(_real(promotion.directory(root.path)), root)


def _real(directory: Path | None) -> Path | None:
    return None if directory is None else real(directory)


def _job_at(place: Path | None, root: Root) -> int | None:
    """Return the job in whose directory `place` is."""
    jobs = real(root.jobs)
    if place is None or not place.is_relative_to(jobs) or place == jobs:
        return None
    number = place.relative_to(jobs).parts[0].partition("-")[0]
    return int(number) if is_number(number) else None


def _note(found: dict[int, str], job: int | None, why: str) -> None:
    if job is not None:
        found.setdefault(job, why)
