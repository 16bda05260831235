"""Nights on a disk that is too small for all of them: some fail, somebody else fills it, and processes are killed."""

import json
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from daemon.core.retention import plan
from daemon.core.settings import load_settings
from daemon.core.states import Job, State
from daemon.face.audit import check_state
from daemon.face.nights import Mark
from handlers.run_names import time_of
from tests.acceptance.month import CYCLES, Month
from tests.acceptance.room_book import MERGED, RETENTION, SHARDS, Book, Entry
from tests.loop_disk import loop_disk

DISK = 112
"""MiB. A night writes some 18: so few of them fit, and a test need not write gigabytes for that."""
PAD = 4
"""MiB of optimizer state in a shard."""
FILLED = range(40)
"""MiB that somebody else has on the disk."""
RELIEF = 5.0
"""Seconds after which he removes it, and an hour has passed, when a night does not come to its end."""
OFTEN = 0.2
"""Seconds between two looks of the daemon at what is to go: its clock of nights runs thousands of times too fast."""
MINE = "mine"
"""The prefix of what people drop."""


@dataclass
class Figures:
    """What happened."""

    seed: int
    nights: int
    marks: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    pruned: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    written_mib: int = 0
    """Of shards, all nights together."""
    least_free_mib: int = DISK
    faults: list[str] = field(default_factory=list)
    """What was not as it should be; empty is a pass."""


def play_month(path: Path, seed: int, nights: int) -> Figures:
    """Play so many nights on a disk of their own below `path`, and say how it went."""
    with loop_disk(path / "root", DISK), patch("daemon.serve.jobs.pruning.EVERY", OFTEN):
        month = RoomMonth(path, seed, nights)
        try:
            return month.play_all()
        finally:
            month.gate.touch()
            month.stage.close()


class RoomMonth(Month):
    """A month that looks, whenever it waits, at what `latest` leads to and at what is still there."""

    def __init__(self, path: Path, seed: int, nights: int) -> None:
        before = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        super().__init__(path, before, {"retention": RETENTION})
        self.figures = Figures(seed, nights)
        self.book = Book()
        self.now = before
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._rounds = 31
        self._reads: dict[str, int] = {}
        """By the names of what people have dropped."""
        self._rolling: set[str] = set()
        self._strikes: list[tuple[float, str]] = []
        self._filler = self.root.path / "somebody" / "filler"
        self._filler.parent.mkdir()
        self._watched = self.stage.data / "foreign.ckpt"
        self._watched.write_bytes(b"not glmd's own")

    # Looking

    def until(self, condition: Callable[[], bool], deadline: float, what: str) -> None:
        """Look and strike while it waits."""

        def looked() -> bool:
            self.look()
            self._strike()
            return condition()

        super().until(looked, deadline, what)

    def let_it_be(self, now: datetime, condition: Callable[[], bool], what: str) -> None:
        """Let it be `now`, until `condition` holds."""
        self.look()
        self.now = now
        super().let_it_be(now, condition, what)
        self.look()

    def look(self) -> None:
        """Note what is there now, and what is gone that had to stay before and after."""
        self.figures.looks += 1
        self.figures.least_free_mib = min(self.figures.least_free_mib, shutil.disk_usage(self.root.path).free >> 20)
        before, there = self.book.must_stay(self.now), self.book.there
        self._note_jobs()
        self._note_links()
        now = self._parts()
        self.book.there = there | now
        for job, part in (before & self.book.must_stay(self.now)) - now:
            self._fault(f"{self.now}: {part} of job {job} is gone, and a rule keeps it")
        self.figures.pruned.update(part for _, part in there - now)
        self.book.there = now

    def _note_jobs(self) -> None:
        for job in self.stage.jobs():
            entry = self.book.entries.get(job.id) or self._new(job)
            entry.state, entry.is_over = str(job.state), job.state.is_over
            self.book.entries[job.id] = entry

    def _new(self, job: Job) -> Entry:
        way = self.book.led[job.prefix]
        reads = self._reads.get(job.name) if not job.cycle else way[-1] if way else None
        self.figures.written_mib += (PAD * 5 // 4) * len(job.devices)
        return Entry(job.id, job.cycle, job.prefix, self._rounds, time_of(job.name) or job.submitted, reads=reads)

    def _note_links(self) -> None:
        for link in self.root.latest.glob("[!.]*"):
            target = link.readlink()
            fault = _bad_output(link.resolve())
            if link.readlink() != target:  # it was led elsewhere meanwhile
                continue
            if fault:
                self._fault(f"{self.now}: latest/{link.name} leads to {target}: {fault}")
            number = int(target.parent.name.partition("-")[0])
            self.book.leads(link.name, number, is_rollback=link.name in self._rolling)

    def _parts(self) -> set[tuple[int, str]]:
        found = set()
        for path in self.root.jobs.glob("[0-9]*-*"):
            number = int(path.name.partition("-")[0])
            if any(any(path.glob(f"{tree}/checkpoint/*/*.ckpt")) for tree in ("output", "attempts/*/output")):
                found.add((number, SHARDS))
            if (path / MERGED / "manifest.json").exists():
                found.add((number, MERGED))
        return found

    def _fault(self, what: str) -> None:
        if what not in self.figures.faults:
            self.figures.faults.append(what)

    # Nights

    def play_all(self) -> Figures:
        """Play all nights, and settle the account."""
        self._play()
        self.let_it_be(self.at(0), lambda: self.are_counted(0), "the cycles are known")
        is_down = False
        for night in range(1, self.figures.nights + 1):
            was_down, is_down = is_down, night > 2 and self._happens(0.06) and not is_down
            if is_down:
                self.stage.stop()
            self.stage.has_daemon = not is_down
            if is_down:
                self.figures.acts["host down"] += 1
                continue
            if was_down:
                self._play()
                self.let_it_be(
                    self.at(night - 1, 9), lambda night=night: self._has_come_to_its_end(night - 1), "caught up"
                )
            self._go_through(night)
            if night == 1:
                self._begin_retention()
        self._filler.unlink(missing_ok=True)
        self._tidy(self.figures.nights, 12)
        self._reckon()
        return self.figures

    def _happens(self, how_often: float) -> bool:
        return self._chance.random() < how_often

    def _play(self, *, lost: bool = False, **environment: str) -> None:
        self.play(lost=lost, STANDIN_PAD=str(PAD), STANDIN_DATA=f"{self._rounds},4", **environment)

    def _begin_retention(self) -> None:
        """Let all that there is be of before glmd could prune."""
        self.stage.stop()
        self.book.first = max(self.book.entries) + 1
        with closing(sqlite3.connect(self.root.store)) as store, store:
            store.execute("UPDATE retention SET first = ?", (self.book.first,))

    def _go_through(self, night: int) -> None:
        self._rounds = self._chance.randrange(20, 32)
        self._fill()
        fails = {"STANDIN_FAIL": self._chance.choice("01")} if self._happens(0.25) else {}
        self._play(lost=self._happens(0.1), **fails)
        self._plan_strikes()
        began = time.monotonic()

        def is_over() -> bool:
            if time.monotonic() > began + RELIEF and self.now == self.at(night):
                self._filler.unlink(missing_ok=True)
                self.now = self.at(night, 3)
                self.clock.set(self.now)  # what could not be dropped is tried again later
            return self._has_come_to_its_end(night)

        self.let_it_be(self.at(night), is_over, f"night {night} is over")
        for act, how_often in ((self._roll_back, 0.15), (self._promote, 0.1), (self._drop, 0.25), (self._meddle, 0.1)):
            if self._happens(how_often):
                act(night)
        if self._happens(0.2):
            self._act("prune", self.stage.ask("prune"))
        self._plan_strikes()
        self._tidy(night, 9)
        self._strikes.clear()

    def _has_come_to_its_end(self, night: int) -> bool:
        runs = self.runs(night)
        return len(runs) == len(CYCLES) and all(run.mark is not Mark.RUNNING for run in runs.values())

    def _tidy(self, night: int, hour: int) -> None:
        """Let all be gone that goes by itself."""
        began = time.monotonic()

        def is_tidy() -> bool:
            if time.monotonic() > began + RELIEF:  # on a disk that is quite full nothing can be noted
                self._filler.unlink(missing_ok=True)
            return self._is_tidy()

        try:
            self.let_it_be(self.at(night, hour), is_tidy, "all is gone that goes by itself")
        except AssertionError as error:
            left = sorted(self.book.there - self.book.may_stay(self.now))
            settings = load_settings(self.root.path / "glmd.yaml", self.root.path)
            items = plan(self.root, settings, self.now, is_asked=False).items
            said = [
                f"{each.part} of job {each.job.id}: {each.why}" for each in items if (each.job.id, each.part) in left
            ]
            raise AssertionError(f"night {night}: {left} are left ({said}) of {self.book}: {error}") from error

    def _is_tidy(self) -> bool:
        if not self.root.store.exists():
            return False
        with self.store() as store:
            if store.unended_prunings():
                return False
        left = self.book.there - self.book.may_stay(self.now)
        return not left and all(one.is_over for one in self.book.entries.values())

    # What happens to it

    def _fill(self) -> None:
        mib = self._chance.choice(FILLED)
        with suppress(OSError), self._filler.open("wb") as stream:  # as much as fits
            stream.write(bytes(mib << 20))

    def _plan_strikes(self) -> None:
        now = time.monotonic()
        for role in ("daemon", "train", "merge"):
            if self._happens(0.3 if role == "daemon" else 0.08):
                self._strikes.append((now + self._chance.uniform(0.0, 1.0), role))

    def _strike(self) -> None:
        for strike in [one for one in self._strikes if one[0] <= time.monotonic()]:
            if self.stage.kill(strike[1]):
                self.figures.acts[f"{strike[1]} killed"] += 1
                self._strikes.remove(strike)

    def _act(self, what: str, answer: str | None) -> None:
        self.figures.acts[what if answer else f"{what}, refused"] += 1
        self.look()

    def _roll_back(self, night: int) -> None:
        del night
        self.look()
        prefix = self._chance.choice(list(CYCLES))
        self._rolling.add(prefix)
        self._act("rollback", self.stage.ask("rollback", prefix=prefix))
        self._rolling.discard(prefix)

    def _promote(self, night: int) -> None:
        del night
        self.look()
        done = [one.id for one in self.book.entries.values() if one.cycle and one.state == State.DONE]
        if done:
            self._act("promotion", self.stage.ask("promote", self._chance.choice(done)))

    def _drop(self, night: int) -> None:
        """Let somebody go on from an output that is there, whichever it is."""
        outputs = sorted(job for job, part in self.book.there if part == MERGED and self.book.entries[job].cycle)
        if not outputs:
            return
        read = self._chance.choice(outputs)
        (merged,) = self.root.jobs.glob(f"{read:04d}-*/merged")
        text = self.stage.config(devices="[4,5)", more=f'  continue_from: "{merged}/filtered_transformed.ckpt"\n')
        text = text.replace("data_parallel: 2", "data_parallel: 1").replace('prefix: "glm-6b"', f'prefix: "{MINE}"')
        name = f"mine{night}"
        self._reads[name] = read
        self._filler.unlink(missing_ok=True)
        half = self.root.inbox / f".{name}.yaml"
        half.write_text(f"auto_trans_ckpt: True\n{text}# {night}\n")
        half.rename(self.root.inbox / f"{name}.yaml")
        self._act("drop", "dropped")
        there = lambda: any(one.name == name and one.state.is_over for one in self.stage.jobs())  # noqa: E731
        self.let_it_be(self.at(night, 5), there, f"{name} is over")

    def _meddle(self, night: int) -> None:
        """Let somebody put a file of his own into an output: nobody but he knows what for."""
        job, part = self._chance.choice(sorted(self.book.there) or [(0, "")])
        if part == MERGED:
            (merged,) = self.root.jobs.glob(f"{job:04d}-*/merged")
            with suppress(OSError):  # the disk is full, or it has just gone
                (merged / "mine.txt").write_text(f"of night {night}")
                self.book.strange.add((job, part))
                self._act("a stranger's file", "there")

    # The account

    def _reckon(self) -> None:
        assert self.stage.stop()
        self.look()
        for night in range(1, self.figures.nights + 1):
            runs = self.runs(night)
            for cycle in CYCLES:
                run = runs.get(cycle)
                mark = str(run.mark) if run is not None else "unknown"
                self.figures.marks[mark] += 1
                is_told = run is not None and (run.mark in {Mark.DONE, Mark.LATE} or bool(run.reason))
                if run is None or run.mark is Mark.RUNNING or not is_told:
                    self._fault(f"night {night} of {cycle}: {mark}, and no reason is told")
        with self.store() as store:
            rows = [(job, one) for job in store.jobs() for one in store.prunings_of(job)]
        for job, row in rows:
            if row.ended is None:
                self._fault(f"{row.part} of job {job.id}: its removal has not ended")
            if not row.by and not self.book.is_automatic(self.book.entries[job.id]):
                self._fault(f"{row.part} of job {job.id} was removed by itself: nobody asked")
        if (self.root.jobs / ".trash").exists():
            self._fault("the trash is not empty")
        if self._watched.read_bytes() != b"not glmd's own":
            self._fault("what is not glmd's own was changed")
        self.figures.faults += [*self.stage.faults, *map(str, check_state(self.root))]


def _bad_output(merged: Path) -> str:
    """Return what is wrong with an output; empty where nothing is."""
    try:
        manifest = json.loads((merged / "manifest.json").read_text())
        sizes = {file["name"]: (merged / file["name"]).stat().st_size for file in manifest["files"]}
    except (OSError, ValueError) as error:
        return str(error)
    if manifest.get("not_finite"):
        return f"not finite: {manifest['not_finite']}"
    wrong = [file["name"] for file in manifest["files"] if sizes[file["name"]] != file["size"]]
    return f"not whole: {wrong}" if wrong else ""
