"""A root as it is at eight in the morning after some weeks: nights that went well or not, a failure, a training.

A real daemon trains, with the ranks of actor.py; the nights before are rows as glmd leaves them. Whenever it is made,
it is shortly after eight by the clock of its processes, so that what its pages say is the same but for the dates.
"""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daemon.core.night_runs import Outcome
from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.step_exit import StepExit
from tests.acceptance.house import CONFIG, House
from tests.unit.daemon.face.diary import DONE, FAILED, Diary

ALL = tuple(range(8))
"""Devices."""
NIGHTS = 26
"""That there were."""
BAD = {7: "no data", 15: "EI0006"}
"""Nights, counted back from the last one, in which the first cycle failed, and the known error."""
LEFT_OUT = (3, 4, 11)
"""Those in which the second cycle was left out."""


def at_eight(now: datetime) -> str:
    """Return a time zone in which it is eight, or up to a quarter of an hour later, as TZ names it."""
    ahead = (480 - (now.hour * 60 + now.minute) // 15 * 15 + 720) % 1440 - 720
    hours, minutes = divmod(abs(ahead), 60)
    return f"CST{'-' if ahead >= 0 else '+'}{hours}:{minutes:02d}"


class Showcase(House):
    """The root, and the daemon over it."""

    def __init__(self, path: Path) -> None:
        os.environ["TZ"] = at_eight(datetime.now(UTC))
        time.tzset()
        super().__init__(path)
        checkout = path / "mindformers"
        checkout.mkdir()
        shutil.copy(Path(__file__).with_name("actor.py"), checkout / "run_mindformer.py")
        self.training["checkout"] = str(checkout)
        self._template = path / "nightly.yaml"
        self._template.write_text(self.text("[0,8)"))
        self.settings["nightly"] = [
            self._cycle("glm-6b", "0 2 * * *"),
            self._cycle("glm-6b-lora", "0 23 * * *"),
        ]  # fmt: skip
        self.today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        self.failed = self.trains = 0
        """Numbers of jobs."""

    def _cycle(self, name: str, cron: str) -> dict[str, str]:
        return {"name": name, "cron": cron, "template": str(self._template)}

    def text(self, devices: str) -> str:
        """Return a YAML for these devices."""
        text = CONFIG.format(data=self.data, devices=devices)
        return text.replace("epochs: 1", "epochs: 31").replace("data_parallel: 2", "data_parallel: 8")

    def furnish(self) -> None:
        """Let all of that have happened; the daemon is up then."""
        self._nights()
        self.environment(SHOW_EPOCHS="9", SHOW_FAILS="3")
        self.start()
        more = "  resume: {attempts: 0}\n"
        self.drop("lora-chat.yaml", text=self.text("[0,8)") + more)
        self.until_taken("lora-chat.yaml")
        self.failed = self._number("lora-chat")
        self.until(State.FAILED, self.failed)
        self.stop()
        self.environment(SHOW_EPOCHS="12")
        self.start()
        self.drop("run_glm_6b.yaml", text=self.text("[0,8)"))
        self.until_taken("run_glm_6b.yaml")
        self.trains = self._number("run_glm_6b")
        self.until(State.TRAINING, self.trains)
        waiting = {"glm-6b-long": timedelta(hours=6, minutes=50), "lora-code": timedelta(hours=7, minutes=5)}
        for name in waiting:
            self.drop(f"{name}.yaml", text=self.text("[0,8)") + f"# {name}\n")
            self.until_taken(f"{name}.yaml")
        self.stop()
        self._began(self.failed, timedelta(hours=1, minutes=12))
        self._began(self.trains, timedelta(hours=6, minutes=27))
        for name, at in waiting.items():
            self._began(self._number(name), at)
        self.start()

    def _number(self, name: str) -> int:
        return next(job.id for job in self.jobs() if job.name == name)

    def _nights(self) -> None:
        diary = Diary(self.root)
        for before in reversed(range(NIGHTS)):
            night = self.today - timedelta(days=before)
            self._lora(diary, night - timedelta(hours=1), before)
            self._glm(diary, night + timedelta(hours=2), before)
        for cycle, cron, last in (("glm-6b", "0 2 * * *", 2), ("glm-6b-lora", "0 23 * * *", -1)):
            diary.count(cycle, self.today + timedelta(hours=last), cron)

    def _glm(self, diary: Diary, due: datetime, before: int) -> None:
        if error := BAD.get(before):
            told = {"reason": f"rank 5 on device 5 exited 1 first: {error}", "code": f"rank.{error.replace(' ', '-')}"}
            diary.run("glm-6b", due.astimezone(UTC), *FAILED, took=timedelta(minutes=50), devices=ALL, **told)
        else:
            loss = 1.65 + 0.004 * before + 0.02 * (before % 3)
            took = timedelta(hours=4, minutes=12 + before % 5)
            diary.run("glm-6b", due.astimezone(UTC), *DONE, took=took, loss=loss, promoted=True, devices=ALL)

    def _lora(self, diary: Diary, due: datetime, before: int) -> None:
        if before in LEFT_OUT:
            diary.note("glm-6b-lora", due.astimezone(UTC), Outcome.SKIPPED, "the run before is not over")
        else:
            took = timedelta(hours=1, minutes=31 + before % 4)
            diary.run("glm-6b-lora", due.astimezone(UTC), *DONE, took=took, loss=0.91 + 0.003 * before, devices=ALL)

    def _began(self, number: int, at: timedelta) -> None:
        """Let a job have been submitted at that time of this morning, and have gone through the rest as soon after."""
        by = self.job(number).submitted - (self.today + at)
        with closing(sqlite3.connect(self.root / "glmd.db")) as store, store:
            store.create_function("earlier", 1, lambda at: (datetime.fromisoformat(at) - by).isoformat())
            store.execute(
                "UPDATE jobs SET submitted = earlier(submitted), changed = earlier(changed) WHERE id = ?", (number,)
            )
            store.execute("UPDATE transitions SET at = earlier(at) WHERE job = ?", (number,))
            record = self.directory(number).step(1, Step.TRAIN).exit
            if record.exists():
                told = _ended_earlier(record, by)
                for table, key in (("jobs", "id"), ("transitions", "job")):
                    query = f"UPDATE {table} SET reason = replace(reason, ?, ?) WHERE {key} = ?"  # noqa: S608 - no user's words
                    store.execute(query, (*told, number))


def _ended_earlier(path: Path, by: timedelta) -> tuple[str, str]:
    """Let a training's record say so, and return how a reason tells when it ended, and when it has now."""
    record = StepExit.read(path)
    assert record.first is not None
    first = record.first.model_copy(update={"ended": record.first.ended - by})
    others = tuple(each for each in record.processes if each.rank != first.rank)
    path.write_text(record.model_copy(update={"first": first, "processes": (first, *others)}).model_dump_json())
    was, now = (f"({each.ended.astimezone():%H:%M:%S})" for each in (record.first, first))
    return was, now
