"""What the page knows of one job, for programs: its ranks, configurations, output, failure and events."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from starlette.responses import Response

from daemon.core.states import Job, State
from daemon.face.ranks import RankStatus, pids_of, ranks_of
from daemon.face.status import job_as_json, progress_as_json
from daemon.face.web.asking import Asked
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.job_files import Kind, Log, opened
from daemon.face.web.log_pieces import piece_from, shown
from daemon.face.web.views.api import answer
from daemon.face.web.views.config import read_config
from daemon.face.web.views.failure import read_failure
from daemon.face.web.views.output import read_output
from daemon.face.web.views.ranks import how_ended
from handlers.records.step_exit import ProcessExit

_MOST_BYTES = 1 << 62


def ranks(asked: Asked) -> Response:
    """Return each rank: at work how far it is, and later how it ended. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    root = asked.site.root.path
    is_training = job.state is State.TRAINING
    pids = pids_of(job, root) if is_training else {}
    exit_ = None if is_training else how_ended(job, asked)
    ended = {process.rank: process for process in (() if exit_ is None else exit_.processes)}
    found = [_rank(job, rank, pids.get(rank.rank), ended.get(rank.rank)) for rank in ranks_of(job, root)]
    return answer({"job": job.id, "state": job.state, "attempt": job.attempt, "ranks": found}, asked)


def config(asked: Asked) -> Response:
    """Return the configurations, and what differs from another job. Raises NotThereError, StoreError, OSError."""
    found = read_config(asked)
    difference = found.difference
    rows = () if difference is None else difference.rows
    content = {
        "job": found.job.id,
        "files": [
            {"name": file.name, "label": file.label, "text": file.text, "told": file.notice} for file in found.files
        ],
        "with": None if difference is None else difference.other.id,
        "config": [{"key": row.key, "values": list(row.values)} for row in rows],
        "left_out": 0 if difference is None else difference.left_out,
        "told": "" if difference is None else difference.reason,
    }
    return answer(content, asked)


def output(asked: Asked) -> Response:
    """Return what was merged, and where `latest` was led. Raises NotThereError, StoreError, OSError."""
    found = read_output(asked)
    manifest, parameters = found.manifest, found.parameters
    newest = max((one.id for one in found.changes), default=0)
    content = {
        "job": found.job.id,
        "prefix": found.job.prefix,
        "tag": None if manifest is None else manifest.tag,
        "created": None if manifest is None else manifest.created,
        "is_gone": found.is_gone,
        "is_latest": found.is_latest,
        "files": [{"name": file.name, "size": file.size, "state": file.kind} for file in found.files],
        "entries_in": None if manifest is None else manifest.entries_in,
        "dropped": None if manifest is None else dict(manifest.dropped),
        "parameters": [] if parameters is None else [asdict(parameter) for parameter in parameters.shown],
        "parameters_found": 0 if parameters is None else parameters.found,
        "verdict": None if found.verdict is None else found.verdict.model_dump(mode="json"),
        "promotions": [one.as_json(is_latest=one.id == newest) for one in found.changes],
        "told": found.trouble,
    }
    return answer(content, asked)


def failure(asked: Asked) -> Response:
    """Return why a job failed, and what to do. Raises NotThereError, StoreError, OSError."""
    found = read_failure(asked)
    content = {
        "job": job_as_json(found.job, found.job.directory(asked.site.root.path).path),
        "attempt": found.failure.attempt,
        "diagnosis": None if found.failure.diagnosed is None else asdict(found.failure.diagnosed),
        "title": found.failure.title,
        "happened": found.failure.happened,
        "cause": found.failure.cause,
        "remedy": found.failure.remedy,
        "commands": list(found.failure.commands),
        "attempts": [{"attempt": attempt, "happened": happened} for attempt, happened in found.others],
    }
    return answer(content, asked)


def events(asked: Asked) -> Response:
    """Return the events from byte `at` on, a piece of them. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    log = Log(Kind.EVENTS, job.attempt)
    with opened(job, log.path(job, job.directory(asked.site.root.path)), asked) as stream:
        found = shown(stream, piece_from(stream, asked.number("at", 0, _MOST_BYTES, 0)), asked.site.hidden)
    content = {"start": found.start, "end": found.end, "next": found.next, "size": found.size}
    return answer({**content, "events": list(_events(line.content for line in found.lines))}, asked)


def _rank(job: Job, status: RankStatus, pid: int | None, ended: ProcessExit | None) -> dict[str, object]:
    return {
        "rank": status.rank,
        "device": status.device,
        "node": status.node or None,
        "pid": pid if ended is None else ended.pid,
        "phase": status.phase if job.state is State.TRAINING else None,
        "step": status.number,
        "behind": status.behind,
        "lags": status.lags,
        "progress": progress_as_json(status.progress),
        "quiet_seconds": None if job.state.is_over else status.quiet,
        "line": status.line,
        "exit_code": None if ended is None else ended.exit_code,
        "signal": None if ended is None else ended.signal,
    }


def _events(lines: Iterator[bytes]) -> Iterator[dict[str, object]]:
    """Yield events as they are kept; of a line that is none, as a crash leaves it, its text."""
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        yield event if isinstance(event, dict) else {"text": line.decode("utf-8", "replace")}


def _job(asked: Asked) -> Job:
    with open_store(asked) as store:
        return job_of(store, asked)
