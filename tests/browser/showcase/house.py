"""A root as it is at eight in the morning after some weeks: nights that went well or not, a failure, a training.

A real daemon trains, with the ranks of actor.py; the nights before are rows as glmd leaves them. Whenever it is made, it
is shortly after eight by the clock of its processes, so that what its pages say is the same but for the dates.
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


def at_eight() -> str:
    """Return the name of a time zone in which it is between eight and nine."""
    ahead = (8 - datetime.now(UTC).hour + 11) % 24 - 11
    return f"Etc/GMT{-ahead:+d}"


class Showcase(House):
    """The root, and the daemon over it."""

    def __init__(self, path: Path) -> None:
        os.environ["TZ"] = at_eight()
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
        return {"name": name, "cron": cron, "timezone": os.environ["TZ"], "template": str(self._template)}

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
        for name in ("glm-6b-long", "lora-code"):
            self.drop(f"{name}.yaml", text=self.text("[0,8)") + f"# {name}\n")
            self.until_taken(f"{name}.yaml")
        self.stop()
        self._back(self.failed, timedelta(hours=2, minutes=20))
        self._back(self.trains, timedelta(minutes=12))
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
            diary.count(cycle, self.today + timedelta(hours=last), cron, os.environ["TZ"])

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

    def _back(self, number: int, by: timedelta) -> None:
        """Let what a job went through have been so much earlier."""
        with closing(sqlite3.connect(self.root / "glmd.db")) as store, store:
            for table, column, key in (
                ("jobs", "submitted", "id"),
                ("jobs", "changed", "id"),
                ("transitions", "at", "job"),
            ):
                query = f"SELECT rowid, {column} FROM {table} WHERE {key} = ?"  # noqa: S608 - no user's words
                for row, at in store.execute(query, (number,)).fetchall():
                    earlier = (datetime.fromisoformat(at) - by).isoformat()
                    store.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (earlier, row))  # noqa: S608
