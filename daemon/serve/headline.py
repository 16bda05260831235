"""The one line that `systemctl status glmd` shows."""

from collections.abc import Iterable, Mapping, Sequence

from daemon.core.notices import Notice, NoticeKind
from daemon.core.states import Job, State
from handlers.rank_log.progress import Progress
from handlers.units.durations import format_duration

SHOWN = 3


_SHORT = {
    NoticeKind.NIGHTLY_SKIPPED: "skipped",
    NoticeKind.NIGHTLY_FAILED: "not dropped",
    NoticeKind.NIGHTLY_LATE: "late",
    NoticeKind.NIGHTLY_OVERDUE: "overdue",
    NoticeKind.DISK_LOW: "low disk",
}


def noticed(notices: Iterable[Notice]) -> str:
    """Return what somebody should know, each thing once and short; empty where there is nothing."""
    texts = list(dict.fromkeys(f"{notice.cycle} {_SHORT[notice.kind]}".strip() for notice in notices))
    more = [f"{len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return f"notices: {', '.join([*texts[:SHOWN], *more])}" if texts else ""


def undone(jobs: Sequence[Job]) -> str:
    """Return what failed or was rejected and waits for somebody, and what tells more; empty where there is nothing."""
    if not jobs:
        return ""
    texts = [f"{job.label} {job.state}" for job in jobs[:SHOWN]]
    more = [f"{len(jobs) - SHOWN} more"] if len(jobs) > SHOWN else []
    return f"{', '.join([*texts, *more])}: see glmd status{f' {jobs[0].id}' if len(jobs) == 1 else ''}"


def headline(active: Sequence[Job], queued: int, progress: Mapping[int, Progress]) -> str:
    """Return what runs, how far it is, and how many jobs wait."""
    parts = [_job(job, progress.get(job.id)) for job in active[:SHOWN]]
    if len(active) > SHOWN:
        parts.append(f"{len(active) - SHOWN} more")
    return "; ".join([*(parts or ["idle"]), f"{queued} queued"])


def _job(job: Job, progress: Progress | None) -> str:
    again = f" (attempt {job.attempt})" if job.attempt > 1 else ""
    text = f"{job.label}{again} {job.state}"
    if job.state is not State.TRAINING or progress is None:
        return text
    text += f", epoch {progress.epoch}/{progress.epochs}, step {progress.step}/{progress.steps}"
    if progress.loss is not None:
        text += f", loss {progress.loss:.4g}"
    if progress.eta_seconds is not None:
        text += f", {format_duration(progress.eta_seconds)} left"
    return text
