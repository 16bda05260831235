"""A root of which there is a sample of every family: nights, a training, what waits, what was removed."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from daemon.core.daemon_record import DaemonRecord, NextNight, PresentFault
from daemon.core.night_runs import Outcome
from daemon.core.results import Result
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.face.metrics import families
from daemon.face.metrics.exporter import Exporter, Scrape
from daemon.face.notify.standing import Counts, Standing
from handlers.codes import Code
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header
from tests.unit.daemon.commands.trained import log_lines
from tests.unit.daemon.face.diary import DONE, FAILED, Diary

NOW = datetime.now(UTC).replace(microsecond=0)
DUE = NOW - timedelta(hours=3)
LIMITS = {"silence": 600.0, "first_step": 3600.0, "load": 1800.0, "saving": None, "total": None, "learned_from": 4}
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Scene:
    """The root, and what is said of it."""

    def __init__(self, path: Path) -> None:
        self.diary = Diary(path / "glm")
        self.root = self.diary.root
        self.notifications = path / "notify"
        self.notifications.mkdir()
        self.exporter = Exporter(self.root, self.notifications)

    def fill(self) -> "Scene":
        """Let there be something of everything."""
        self.nights()
        self.past()
        self.train()
        self.diary.job("waits", NOW - timedelta(hours=1))
        self.daemon(next_due=DUE + timedelta(days=1), faults=1)
        told = {"team": Counts({"sent": 5, "pending": 1}, NOW - timedelta(minutes=4))}
        Standing(self.root.path, told).publish(self.notifications)
        return self

    def nights(self) -> None:
        """Let a cycle have had a good night, one left out, and one that cannot be dropped yet."""
        self.diary.count("glm", DUE - timedelta(days=2))
        self.diary.run("glm", DUE - timedelta(days=1), *DONE, loss=1.5, promoted=True)
        self.diary.note("glm", DUE, Outcome.FAILED, "no template", Code.HOST_NOT_THERE)
        self.diary.count("glm", DUE - timedelta(days=1))
        with Store.open(self.root.store) as store:
            done = store.newest_done("glm")
            assert done is not None
            store.keep_result(done, Result(1.5, 1.4, 900.0, 13 << 30, 40 << 30))

    def past(self) -> None:
        """Let jobs have failed, been kept back, and been pruned."""
        failed = self.diary.job("lora", NOW - timedelta(days=1), *FAILED, reason="rank 3 …", code=Code.HANG_SILENCE)
        self.diary.job("kept", NOW - timedelta(days=1), *DONE, reason="loss too high", code=Code.GATE_LOSS)
        at = (NOW - timedelta(hours=2)).isoformat()
        self.diary.sql(
            "INSERT INTO prunings (job, part, bytes, begun, ended, by, reason)"
            " VALUES (?, 'shards', 1000, ?, ?, '', '')",
            *(failed.id, at, at),
        )

    def train(self, name: str = "run_glm_6b", devices: tuple[int, ...] = (4, 5), steps: int = 9) -> Job:
        """Let a job train on some devices: its ranks' logs, its record, its plan."""
        with Store.open(self.root.store) as store:
            new = NewJob(f"{name} {devices}", name, devices=devices, prefix="glm-6b")
            job = store.move(store.add(new), State.PREPARING)
            job = store.move(job, State.TRAINING)
        directory = job.directory(self.root.path)
        for rank, _ in enumerate(devices):
            log = directory.rank_log(rank)
            log.parent.mkdir(parents=True)
            log.write_text(log_lines(range(1, steps + 1 - rank)))
            os.utime(log, ((NOW - timedelta(seconds=30 + rank)).timestamp(),) * 2)
        directory.step(1, Step.TRAIN).path.mkdir(parents=True)
        self.record(job, range(1, steps + 1))
        directory.plan.write_text(json.dumps({"job": job.id, "train": {"processes": [], "limits": LIMITS}}))
        return job

    def record(self, job: Job, numbers: range, attempt: int = 1) -> None:
        """Let an attempt have done steps, every third of which overflows."""
        path = job.directory(self.root.path).step(attempt, Step.TRAIN).path
        path.mkdir(parents=True, exist_ok=True)
        steps = [
            StepLine(
                time=1.79e9 + n, epoch=(n - 1) // 4 + 1, epochs=31, step=(n - 1) % 4 + 1, steps=4, loss=9 / n,
                milliseconds=500, learning_rate=5e-5, overflow=n % 3 == 0, loss_scale=65536.0, samples=6.5,
            )
            for n in numbers
        ]  # fmt: skip
        header = Header(job.id, attempt, 1, len(job.devices), "npu01", 31, 4)
        RecordWriter(path, header).append([LoggedStep(step, 100 * step.number) for step in steps], 1)

    def daemon(self, next_due: datetime | None = None, faults: int = 0) -> None:
        """Let a daemon that lives have said this of itself: it is this process."""
        record = DaemonRecord(
            version="0.1.0",
            process=ProcessIdentity.of(os.getpid()),
            started=NOW - timedelta(days=1),
            settings_read=NOW,
            devices=tuple(range(8)),
            cycles=() if next_due is None else (NextNight("glm", next_due),),
            faults=(PresentFault("inbox", "host.disk-full", "no space", NOW),) * faults,
        )
        self.root.daemon.write_bytes(record.content())

    def scrape(self, now: datetime = NOW) -> Scrape:
        """Return what is exposed, as `glmd web` does."""
        return self.exporter.scrape(families.WEB_STREAMS(2), now=now)

    def values(self, now: datetime = NOW) -> Values:
        """Return it as prometheus_client reads it. Whatever could not be made fails the test."""
        scrape = self.scrape(now)
        assert scrape.failures == {}
        return parsed(scrape.text)


def parsed(text: bytes) -> Values:
    """Return samples by their names and labels."""
    found = text_string_to_metric_families(text.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in found for s in family.samples}


def of(values: Values, name: str, **labels: object) -> float | None:
    """Return the one sample with such a name and these labels among its own; None where there is none."""
    wanted = {(key, str(value)) for key, value in labels.items()}
    found = [value for (of_name, own), value in values.items() if of_name == f"glmd_{name}" and wanted <= set(own)]
    assert len(found) < 2, found
    return found[0] if found else None
