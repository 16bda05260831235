"""A root with jobs whose directories tests fill, and a browser that asks for their pages."""

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import httpx

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.face.web.app import Application
from daemon.face.web.plan import PagePlan
from daemon.face.web.site import Site
from handlers.records.job_dir import JobDir

TRAINING = (State.PREPARING, State.TRAINING)
DONE = (*TRAINING, State.MERGING, State.DONE)
ELSEWHERE = "what another file holds"
HOSTILE = "<img src=x onerror=alert(1)>\u202e{{7*7}}"


class JobSite:
    """What is asked."""

    def __init__(self, path: Path) -> None:
        self.root = Root(path)
        self.root.create()
        Store.open(self.root.store).close()
        self.web: dict[str, object] = {}

    def add(self, name: str = "glm", *ways: State, devices: tuple[int, ...] = (0, 1), **of_job: object) -> Job:
        """Add a job with its directory, and let it go these ways."""
        with Store.open(self.root.store) as store:
            new = {"claim": f"{name} {store.highest()}", "name": name, "devices": devices, "prefix": "glm-6b"}
            job = store.add(NewJob(**(new | of_job)))  # type: ignore[arg-type] # keywords of a test
            for state in ways:
                job = store.move(job, state)
        self.directory(job).path.mkdir(parents=True, exist_ok=True)
        return job

    def directory(self, job: Job) -> JobDir:
        """Return a job's directory."""
        return job.directory(self.root.path)

    def write(self, path: Path, content: bytes | str) -> Path:
        """Write a file and what it lies in."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def sql(self, statement: str) -> None:
        """Change the store by hand."""
        with closing(sqlite3.connect(self.root.store)) as connection, connection:
            connection.execute(statement)

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for an address."""
        return self.all([path], method, **headers)[0]

    def all(self, paths: Iterable[str], method: str = "GET", **headers: str) -> list[httpx.Response]:
        """Ask for several."""
        application = Application(Site.of(PagePlan.of(Settings(root=self.root.path, web=self.web))))
        named = {"accept-encoding": "gzip"} | {name.replace("_", "-"): value for name, value in headers.items()}

        async def ask() -> list[httpx.Response]:
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8470") as client:
                return [await client.request(method, path, headers=named) for path in paths]

        return asyncio.run(ask())
