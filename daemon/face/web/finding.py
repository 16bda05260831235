"""The job that an address names."""

import re

from daemon.core.read_store import ReadStore
from daemon.core.states import Job
from daemon.face.web.asking import Asked, NotThereError

_JOB = re.compile(r"(\d{1,15})(?:-(.*))?", re.ASCII | re.DOTALL)


def job_of(store: ReadStore, asked: Asked) -> Job:
    """Return the job, of `42`, `0042` or `0042-NAME`. Raises NotThereError."""
    text = asked.place["job"]
    match = _JOB.fullmatch(text)
    job = store.readable(int(match[1])) if match else None
    if match is None or job is None or match[2] not in {None, job.name}:
        raise NotThereError(asked.say("no_job", job=text[:60]))
    return job


def open_store(asked: Asked) -> ReadStore:
    """Open the store. Raises NotThereError before there is one, StoreError."""
    if not asked.site.root.store.exists():
        raise NotThereError(asked.say("no_jobs", inbox=asked.site.root.inbox))
    return ReadStore.open(asked.site.root.store)
