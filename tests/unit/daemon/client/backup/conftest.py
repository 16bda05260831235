from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.client.backup.making import back_up
from daemon.core.backup_record import BackupRecord
from daemon.core.promotions import Promotion
from daemon.core.states import Job
from handlers.records.job_dir import Step
from tests.unit.daemon.face.audit.conftest import DONE, Place, place

__all__ = ["DONE", "Place", "place"]

Backup = tuple[Path, BackupRecord]
MakeBackup = Callable[[], Backup]


def promote(place: Place, job: Job, *, cycle: str = "") -> None:
    """Let the store say that a job was promoted."""
    place.store.promote(replace(Promotion.of(job), prefix="glm-6b", cycle=cycle, followed=True))


def furnish(place: Place, number: int = 1) -> None:
    """Put everything into a job's directory that one may have."""
    directory = place.directory(place.store.job(number))
    for path in (
        *("output/log/rank_0/mindformer.log", "output/strategy/ckpt_strategy_rank_0.ckpt", "verdict.json"),
        *("attempts/1/train/steps.jsonl", "attempts/1/output/log/rank_0/mindformer.log", "attempts/2/resume.json"),
        *(
            "attempts/1/train/environment.json",
            "attempts/1/train/lock",
            "attempts/2/resume_from/checkpoint/rank_0/a.ckpt",
        ),
        *("attempts/1/output/checkpoint/rank_0/a.ckpt", "output/checkpoint_network/rank_0/a.ckpt", ".plan.json.1.tmp"),
        *("output/transformed_checkpoint/rank_0/a.ckpt", "output/model.safetensors", "events.jsonl"),
    ):
        (directory.path / path).parent.mkdir(parents=True, exist_ok=True)
        (directory.path / path).write_bytes(path.encode())
    directory.step(1, Step.TRAIN).environment.chmod(0o600)


def tree(root: Path) -> set[str]:
    """Return the places of all files, and what links lead to."""
    return {
        f"{path.relative_to(root)}{f' -> {path.readlink()}' if path.is_symlink() else ''}"
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


@pytest.fixture
def to(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


@pytest.fixture
def make(place: Place, to: Path) -> MakeBackup:
    return lambda: back_up(place.root, None, to, lambda *_: None)
