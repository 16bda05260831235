"""A site with many jobs, and a client that asks it, for tests of the pages of many jobs."""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from daemon.core.night_hours import NightHours
from daemon.core.root import Root
from daemon.core.store import Store
from daemon.core.web_settings import WebSettings
from daemon.face.web.app import Application
from daemon.face.web.site import Site
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.run_names import run_name
from handlers.training_record.record import NAME
from handlers.training_record.rows import Header, row_line

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m{{7*7}}"
CYCLES = ("glm-6b", "lora")
WAYS = {
    "done": ("queued", "preparing", "training", "merging", "done"),
    "failed": ("queued", "preparing", "training", "failed"),
    "cancelled": ("queued", "cancelled"),
    "rejected": ("rejected",),
}


def site_of(root: Path, **web: object) -> Site:
    """Return the site of a root."""
    return Site(Root(root), WebSettings.model_validate(web).plan(), NightHours.parse("18:00-08:00"), "npu01")


class Client:
    """Asks a site in process."""

    def __init__(self, root: Path, **web: object) -> None:
        self._application = Application(site_of(root, **web)).asgi

    def get(self, address: str, **headers: str) -> httpx.Response:
        """Return the answer."""
        return asyncio.run(self._get(address, headers))

    async def _get(self, address: str, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(self._application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(address, headers=headers)


def p95(client: Client, address: str, rounds: int = 40) -> float:
    """Return how many seconds of this process' time nineteen of twenty answers took at most, after the first one."""
    client.get(address).raise_for_status()
    return statistics.quantiles(_took(client, address, rounds), n=20, method="inclusive")[-1]


def _took(client: Client, address: str, rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        began = time.process_time()
        client.get(address)
        yield time.process_time() - began


def many(root: Path, jobs: int, newest: datetime | None = None) -> None:
    """Let a root have had that many jobs: of five two are runs of cycles, of ten two have failed, one was rejected."""
    Root(root).create()
    Store.open(root / "glmd.db").close()
    newest = newest or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with closing(sqlite3.connect(root / "glmd.db")) as connection, connection:
        for number in range(1, jobs + 1):
            _add(connection, number, newest - timedelta(hours=5 * (jobs - number)))
        for cycle in CYCLES:
            connection.execute(
                "INSERT INTO nightly (name, due, cron, since) VALUES (?, ?, '0 2 * * *', ?)",
                (cycle, newest.isoformat(), newest.isoformat()),
            )


def _add(connection: sqlite3.Connection, number: int, at: datetime) -> None:
    cycle = CYCLES[number % 5] if number % 5 < 2 else ""
    state = {3: "failed", 8: "failed", 7: "rejected", 9: "cancelled"}.get(number % 10, "done")
    began, ended = at.isoformat(), (at + timedelta(minutes=50)).isoformat()
    name = run_name(cycle, at) if cycle else f"run_{number}"
    reason, code = ("rank 3 on device 3 exited 1: EI0006", "rank.EI0006") if state == "failed" else ("", "")
    connection.execute(
        "INSERT INTO jobs (claim, source, digest, name, state, reason, attempt, priority, devices, prefix, submitted,"
        " changed, code, cycle) VALUES (?, ?, '', ?, ?, ?, 1, 0, '[0,1]', 'glm', ?, ?, ?, ?)",
        (f"claim{number}", "night" if cycle else "drop", name, state, reason, began, ended, code, cycle),
    )
    ways = WAYS[state]
    connection.executemany(
        "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, 1, '')",
        [(number, ended if way == ways[-1] else began, way) for way in ways],
    )
    if state == "done":
        result = (number, 2.0 + number % 7 / 10, 1.5, 3000.0, 13_000_000_000, 0)
        connection.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", result)
        connection.execute(
            "INSERT INTO promotions (prefix, kind, job, cycle, target, at, by, reason)"
            " VALUES ('glm', 'promotion', ?, ?, ?, ?, '', '')",
            (number, cycle, f"jobs/{number:04d}-{name}/merged", ended),
        )
    if cycle:
        connection.execute(
            "INSERT INTO nightly_runs VALUES (?, ?, ?, 'dropped', ?, '', '')", (cycle, began, began, number)
        )


def train(root: Path, label: str, losses: list[float], config: str = "lr: 1\n") -> None:
    """Let a job have trained, a step a minute, with this configuration."""
    directory = root / "jobs" / label
    attempt = directory / "attempts" / "1" / "train"
    attempt.mkdir(parents=True)
    (directory / "config.yaml").write_text(config)
    header = Header(job=1, attempt=1, rank=0, devices=2, host="npu01", epochs=1, steps=len(losses))
    steps = [
        StepLine(time=60.0 * number, epoch=1, epochs=1, step=number, steps=len(losses), loss=loss, samples=8.0)
        for number, loss in enumerate(losses, 1)
    ]
    (attempt / NAME).write_bytes(
        header.line() + b"".join(row_line(LoggedStep(step, 100 * step.step)) for step in steps)
    )
