"""Asks the page in process, as a browser does over a socket."""

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import httpx

from daemon.core.settings import Settings
from daemon.core.states import Job
from daemon.face.web.app import ANSWERS, PAGES, Application
from daemon.face.web.plan import PagePlan
from daemon.face.web.site import Site
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.records.job_dir import Step
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header
from tests.unit.daemon.face.diary import Diary

HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e\u2028{{7*7}}%0a"
"""What runs where a page forgets to escape; it is shown as it stands."""
PLACES = {
    "{night}": "2026-11-28",
    "{cycle}": "glm",
    "{name}": "app.css",
    "{file}": "filtered.ckpt",
    "{digest}": "0" * 12,
}


def addresses(job: int = 1) -> list[str]:
    """Return an address of each page, and of what is no page."""
    found = [path.replace("{job}", str(job)) for path in (*PAGES, *ANSWERS)]
    for place, value in PLACES.items():
        found = [path.replace(place, value) for path in found]
    assert not any("{" in path for path in found), f"PLACES lacks one of {found}"
    return found


class Visitor:
    """One who asks."""

    def __init__(self, root: Path, **web: object) -> None:
        self.root = root
        self.application = Application(Site.of(PagePlan.of(Settings(root=root, web=web))))

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for one address."""
        return self.all([path], method, **headers)[0]

    def all(self, paths: Iterable[str], method: str = "GET", **headers: str) -> list[httpx.Response]:
        """Ask for some, one after the other."""

        async def ask() -> list[httpx.Response]:
            async with self.client() as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return [await client.request(method, path, headers=named) for path in paths]

        return asyncio.run(ask())

    def client(self) -> httpx.AsyncClient:
        """Return what asks, within a loop."""
        transport = httpx.ASGITransport(self.application.asgi, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost:8470", timeout=20)


def record(root: Path, job: Job, numbers: range, *, attempt: int = 1, loss: float = 9.0) -> None:
    """Let an attempt of a job have done steps."""
    directory = job.directory(root).step(attempt, Step.TRAIN).path
    directory.mkdir(parents=True, exist_ok=True)
    steps = []
    for number in numbers:
        epoch, step = divmod(number - 1, 4)
        line = StepLine(time=1.79e9 + number, epoch=epoch + 1, epochs=31, step=step + 1, steps=4, loss=loss / number)
        steps.append(LoggedStep(line, 100 * number))
    RecordWriter(directory, Header(job.id, attempt, 1, 2, "npu01", 31, 4)).append(steps, 1)


def multiply(diary: Diary, job: Job, count: int) -> None:
    """Let there be so many more jobs like one, without directories."""
    with closing(sqlite3.connect(diary.root.store)) as store, store:
        names = [row[1] for row in store.execute("PRAGMA table_info(jobs)") if row[1] != "id"]
        columns = ", ".join(names)
        values = ", ".join("'claim' || n" if name == "claim" else name for name in names)
        store.execute(
            f"WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?)"  # noqa: S608 - columns
            f" INSERT INTO jobs ({columns}) SELECT {values} FROM jobs, more WHERE id = ?",
            (count, job.id),
        )
