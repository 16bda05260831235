"""What no rule of retention may remove: what `latest` leads to or could be led back to, and what others still read.

Who reads the files of a job is written in a text: its dropped file, its plan, the settings, a template. Each path
is followed, also through links; what leads into a job's directory keeps all of that job.
"""

import json
import re
import time
from collections.abc import Collection, Iterator
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
from handlers.retention.part import Part

_PATH = re.compile(r"/[^\s\"'\[\]{},|&;<>#?*]+")
_LABEL = re.compile(r"jobs(/\d{1,15}-[^\s\"'/]*(?:/\w+)?)", re.ASCII)
SETTLED = 60.0
"""Seconds after which a file that is still in the inbox is read."""
_PARTS = {
    "merged": frozenset({Part.MERGED, Part.RECORDS}),
    "output": frozenset(Part) - {Part.MERGED},
    "attempts": frozenset(Part) - {Part.MERGED},
}
"""What somebody may read who names a place in a job's directory; of any other place all is kept."""


class Protection:
    """The parts of jobs that stay, each with why."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._jobs = real(root.jobs)
        self._found: dict[tuple[int, Part], str] = {}

    def of(self, job: Job) -> dict[Part, str]:
        """Return what stays of a job."""
        return {part: why for part in Part if (why := self._found.get((job.id, part)))}

    def add_outputs(self, store: ReadStore, settings: Settings) -> None:
        """Protect what `latest` leads to, what a rollback could lead it to, and what a cycle starts from."""
        for link in sorted(self._root.latest.iterdir()):
            self._add_place(leads_to(link), f"latest/{link.name} leads to it")
        for prefix in sorted(store.promoted_prefixes()):
            present = store.standing(prefix).present
            self._add_promotion(present, f"latest/{prefix} is to lead to it")
            here = present.target if present else ""
            earlier = {one.target: one for one in reversed(store.promoted(prefix)) if one.target != here}
            newest = sorted(earlier.values(), key=lambda one: one.id, reverse=True)
            for one in newest[: settings.retention.of(prefix).keep.rollback]:
                self._add_promotion(one, f"glmd rollback {prefix} could go back to it")
        for base in store.bases():
            self._add_promotion(base, f"nightly cycle {base.cycle} starts from it")

    def add_readers(self, settings: Settings, readers: Collection[Job]) -> None:
        """Protect what `readers`, the settings, or a file that waits may read. Raises OSError."""
        for reader in readers:
            if reader.continues is not None:
                self._add(reader.continues, _PARTS["merged"], f"job {reader.id} starts from it")
        for who, own, text in _texts(self._root, settings, readers):
            for place in self._places(text):
                job, parts = place
                if job != own:
                    self._add(job, parts, f"{who} names it")

    def _places(self, text: str) -> Iterator[tuple[int, frozenset[Part]]]:
        """Yield the jobs into whose directories a text leads, and where."""
        for label in _LABEL.findall(text):
            if place := self._at(self._jobs / label[1:]):
                yield place
        for path in dict.fromkeys(_PATH.findall(text)):
            reach(path)
            if place := self._at(real(Path(path))):
                yield place

    def _at(self, place: Path) -> tuple[int, frozenset[Part]] | None:
        """Return the job in whose directory `place` is, and what somebody may read there."""
        if not place.is_relative_to(self._jobs) or place == self._jobs:
            return None
        label, *inside = place.relative_to(self._jobs).parts
        number = label.partition("-")[0]
        parts = _PARTS.get(inside[0], frozenset(Part)) if inside else frozenset(Part)
        return (int(number), parts) if is_number(number) else None

    def _add_promotion(self, promotion: Promotion | None, why: str) -> None:
        if promotion is not None and (directory := promotion.directory(self._root.path)) is not None:
            self._add_place(real(directory), why)

    def _add_place(self, place: Path | None, why: str) -> None:
        if place is not None and (found := self._at(place)):
            self._add(*found, why)

    def _add(self, job: int, parts: Collection[Part], why: str) -> None:
        for part in parts:
            self._found.setdefault((job, part), why)


def _texts(root: Root, settings: Settings, readers: Collection[Job]) -> Iterator[tuple[str, int | None, str]]:
    """Yield who says something, which job that is, and what it says."""
    yield "a setting", None, json.dumps(settings.model_dump(mode="json"), ensure_ascii=False)
    for cycle in settings.nightly:
        reach(cycle.template)
        yield str(cycle.template), None, _read(cycle.template)
    for path in (*filter(_is_left, root.inbox.glob("[!.]*")), *root.claims.glob("*/*")):
        yield str(path), None, _read(path)
    for reader in readers:
        directory = reader.directory(root.path)
        for path in (directory.submitted, directory.plan):
            yield f"job {reader.id}", reader.id, _read(path)


def _is_left(path: Path) -> bool:
    """Say whether a file has been in the inbox for long: a new one that is opened would seem to be written."""
    with suppress(FileNotFoundError):
        return time.time() - path.lstat().st_ctime >= SETTLED
    return False


def _read(path: Path) -> str:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, CkptError):  # nobody can run that
        if path.is_file():
            return read_bounded(path, MOST_PLAN_BYTES).decode("utf-8", "replace")
    return ""
