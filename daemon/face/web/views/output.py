"""What a job has merged: its files and parameters, what the gate found, and where `latest` was led."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from starlette.responses import Response

from daemon.core.promotions import Promotion, target_of
from daemon.core.read_store import ReadStore
from daemon.core.states import Job
from daemon.face import signs
from daemon.face.status import verdict_of
from daemon.face.verdict_lines import verdict_lines
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.merged_files import FoundFile, Merged, State, merged_of
from daemon.face.web.whole_file import WholeFile
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.publishing.manifest import Manifest, MergedParameter
from handlers.gate.verdict import Verdict
from handlers.printable import printable

_A_PAGE = 50
"""Parameters."""
_MOST_PAGES = 1 << 20
_MOST_PROMOTIONS = 20
_SIGNS = {
    State.AS_WRITTEN: signs.DONE,
    State.TOUCHED: "▲",
    State.RESIZED: signs.FAILED,
    State.MISSING: signs.FAILED,
    State.UNREADABLE: "▲",
}


@dataclass(frozen=True)
class File:
    """A file of the output."""

    name: str
    size: int | None
    """None where the manifest keeps none."""
    kind: State
    sign: str
    state: str
    download: str
    """Its address; empty where it cannot be fetched."""
    copying: str
    """The command that copies it; empty where it is not there."""


@dataclass(frozen=True)
class Parameters:
    """Some of the parameters."""

    shown: Sequence[MergedParameter]
    found: int
    """How many the filter leaves."""
    filter: str
    newer: str
    older: str
    """The pages before and behind."""


@dataclass(frozen=True)
class Promoted:
    """A change of what `latest` leads to."""

    at: datetime
    what: str
    job: int | None
    name: str
    by: str
    reason: str
    is_undone: bool


@dataclass(frozen=True)
class Output:
    """What the page shows."""

    job: Job
    manifest: Manifest | None
    """None where nothing was merged."""
    is_gone: bool
    trouble: str
    """What prevents showing the manifest; empty for nothing."""
    kept: int
    files: tuple[File, ...]
    parameters: Parameters | None
    verify: str
    """The command that compares every byte."""
    verdict: Verdict | None
    rules: Sequence[tuple[str, str, str]]
    """Sign, name and text."""
    changes: tuple[Promotion, ...]
    """Of what `latest` led to, the newest first."""
    promotions: tuple[Promoted, ...]
    """The same, for people."""
    is_latest: bool


def output(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    content = read_output(asked)
    return Page("output.html", f"{content.job.id} {content.job.name}: {asked.say('output')}", content, "jobs")


def read_output(asked: Asked) -> Output:
    """Return what a job has merged. Raises NotThereError, StoreError, OSError."""
    with open_store(asked) as store:
        job = job_of(store, asked)
        changes = tuple(_changes(store, job))
        is_latest = _is_latest(store, job)
    directory = job.directory(asked.site.root.path)
    trouble, merged = "", None
    try:
        merged = merged_of(directory)
    except (DamagedFileError, OSError) as error:
        trouble = str(error)
    verdict = verdict_of(directory)
    return Output(
        job=job,
        manifest=merged.manifest if merged else None,
        is_gone=merged is not None and merged.is_gone,
        trouble=trouble,
        kept=len(merged.manifest.parameters) if merged else 0,
        files=tuple(_files(job, merged, asked)) if merged else (),
        parameters=_parameters(merged.manifest, asked) if merged else None,
        verify=shlex.join(["glmd", "verify", str(directory.merged)]),
        verdict=verdict,
        rules=tuple(_rules(verdict)),
        changes=changes,
        promotions=tuple(_promoted(one, asked) for one in changes),
        is_latest=is_latest,
    )


def file(asked: Asked) -> Response:
    """Return a file that the manifest names, if files can be fetched. Raises NotThereError, StoreError, OSError."""
    if not asked.site.web.download:
        raise NotThereError(asked.words.say("output", "no_downloads"))
    with open_store(asked) as store:
        job = job_of(store, asked)
    directory, name = job.directory(asked.site.root.path), asked.place["file"]
    try:
        merged = merged_of(directory)
        stream = merged.opened(directory, name) if merged else None
    except (FileNotFoundError, DamagedFileError):
        stream = None
    if stream is None:
        raise NotThereError(asked.words.say("output", "no_such", name=name[:100]))
    return WholeFile(stream, name, "application/octet-stream")


def _files(job: Job, merged: Merged, asked: Asked) -> Iterator[File]:
    for found in merged.files(job.directory(asked.site.root.path)):
        is_there = found.state is not State.MISSING
        can_be_fetched = asked.site.web.download and is_there
        yield File(
            name=printable(found.name),
            size=found.size,
            kind=found.state,
            sign=_SIGNS[found.state],
            state=asked.words.say("output", found.state),
            download=asked.site.url(f"/jobs/{job.id}/output/{quote(found.name, safe='')}") if can_be_fetched else "",
            copying=_copying(found, asked) if is_there else "",
        )


def _copying(found: FoundFile, asked: Asked) -> str:
    """Return the command; none for a name that somebody who copies it would not see as it is."""
    path = str(found.path)
    return f"scp {shlex.quote(f'{asked.site.host}:{path}')} ." if path.isprintable() else ""


def _parameters(manifest: Manifest, asked: Asked) -> Parameters:
    wanted = asked.query.get("q", "")[:200]
    found = [parameter for parameter in manifest.parameters if wanted.lower() in parameter.name.lower()]
    page = asked.number("page", 1, _MOST_PAGES, 1)
    shown = found[(page - 1) * _A_PAGE : page * _A_PAGE]
    return Parameters(
        shown=[replace(parameter, name=printable(parameter.name)) for parameter in shown],
        found=len(found),
        filter=wanted,
        newer=f"{asked.again(page=page - 1)}#parameters" if page > 1 else "",
        older=f"{asked.again(page=page + 1)}#parameters" if page * _A_PAGE < len(found) else "",
    )


def _rules(verdict: Verdict | None) -> Iterator[tuple[str, str, str]]:
    passed = {} if verdict is None else {rule.name: rule.passed for rule in verdict.rules}
    marks = {True: signs.DONE, False: signs.FAILED, None: "–"}
    for name, text in verdict_lines(verdict):
        yield marks[passed.get(name)], printable(name), printable(text)


def _changes(store: ReadStore, job: Job) -> Iterator[Promotion]:
    """Yield the newest changes of the job's prefix, and those of its own output, the newest first."""
    if not job.prefix:
        return
    found = store.promotions(job.prefix)
    newest = {one.id for one in found[-_MOST_PROMOTIONS:]}
    for one in reversed(found):
        if one.id in newest or one.job == job.id:
            yield one


def _promoted(one: Promotion, asked: Asked) -> Promoted:
    return Promoted(
        at=one.at,
        what=asked.words.say("output", one.kind),
        job=one.job,
        name=one.name,
        by=one.by,
        reason=one.reason,
        is_undone=one.undone is not None,
    )


def _is_latest(store: ReadStore, job: Job) -> bool:
    present = store.standing(job.prefix).present if job.prefix else None
    return present is not None and present.target == target_of(job)
