"""What must be true of a job's published output, and of the link `latest` that others go on from."""

import os
from collections.abc import Iterator
from pathlib import Path

from daemon.core.promotions import Promotion
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.audit.disagreement import Disagreement, Kind
from daemon.face.audit.job_files import JobFiles, names_in
from daemon.face.audit.ledger import Ledger, Row
from handlers.ckpt.errors import CkptError
from handlers.ckpt.files.staging import NAME as STAGING
from handlers.ckpt.publishing.manifest import NAME
from handlers.ckpt.publishing.manifest_outline import Outline, OutlinedFile, read_outline
from handlers.merging.latest import is_occupied, leads_to, real
from handlers.records.job_dir import Step
from handlers.retention.part import Part


def is_manifest_alone(files: JobFiles) -> bool:
    """Say whether of an output nothing is there but its manifest."""
    return "merged" in files.names and names_in(f"{files.path}/merged") == frozenset({NAME})


def output_disagreements(row: Row, files: JobFiles) -> Iterator[Disagreement]:
    """Yield what is wrong with one job's `merged/`. While its merge runs, files appear there before the manifest."""
    job, merged = row.job, f"{files.path}/merged"
    merge = files.step(job.attempt, Step.MERGE)
    if not files.is_there or merge.living is not None or (merge.is_slurms and job.state is State.MERGING):
        return
    if Part.MERGED in row.pruned and "merged" not in files.names:
        return
    names = names_in(merged) if "merged" in files.names else None
    again = (
        f"glmd merge --force --src-checkpoints-dir {files.path}/output --dst-checkpoints-dir {merged} makes it again"
        if job.state is State.DONE
        else f"glmd retry {job.id} finishes it, or remove it"
    )
    if names and STAGING in names:
        what = "an interrupted merge left it, and no merge continues it"
        yield Disagreement(Kind.TEMPORARY_LEFT, job.id, Path(merged, STAGING), what, again)
    if not names or NAME not in names:
        there = sorted(name for name in names or () if not name.startswith("."))
        if there or job.state is State.DONE:
            what = f"{', '.join(there) or 'no file'} and no {NAME}; the job is {job.state}"
            yield Disagreement(Kind.OUTPUT_PARTIAL, job.id, Path(merged), what, again)
        return
    try:
        outline = read_outline(f"{merged}/{NAME}")
    except (OSError, CkptError) as error:
        yield Disagreement(Kind.UNREADABLE, job.id, Path(merged, NAME), str(error), again)
        return
    yield from _files(row, merged, names, outline, again)


def _files(row: Row, merged: str, names: frozenset[str], outline: Outline, again: str) -> Iterator[Disagreement]:
    for name in outline.names:
        if name not in names:
            what = f"{NAME} names it, and it is not there"
            yield Disagreement(Kind.OUTPUT_PARTIAL, row.job.id, Path(merged, name), what, again)
    for file in outline.files:
        if change := _change(f"{merged}/{file.name}", file):
            repair = f"glmd verify {merged} says whether its content is still what was written"
            yield Disagreement(Kind.OUTPUT_CHANGED, row.job.id, Path(merged, file.name), change, repair)


def _change(path: str, file: OutlinedFile) -> str | None:
    """Return how `path` differs from what was written. Not by its inode: a root may come from a backup."""
    try:
        status = os.stat(path)  # noqa: PTH116 - of text, see JobFiles
    except FileNotFoundError:
        return None
    if status.st_size != file.size:
        return f"it has {status.st_size} bytes, and {file.size} were written"
    return "it was written to after it was published" if status.st_mtime_ns != file.mtime_ns else None


def latest_disagreements(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    """Yield the links in `latest/` that no training could go on from, and what the store says otherwise."""
    links = {link.name: link for link in sorted(root.latest.glob("[!.]*"))}
    for name, link in links.items():
        if what := _wrong_link(link):
            repair = f"glmd rollback {name}, or glmd promote JOB, with a job of that prefix that is done; or remove it"
            yield Disagreement(Kind.LATEST, None, link, what, repair)
    for prefix in sorted(ledger.promoted_prefixes()):
        yield from _elsewhere(ledger.standing(prefix).present, root.latest / prefix, root)
    yield from _promotions(ledger, root)


def _elsewhere(present: Promotion | None, link: Path, root: Root) -> Iterator[Disagreement]:
    """Yield where a link leads elsewhere than the store says."""
    wanted = present and present.directory(root.path)
    there = leads_to(link)
    if present is None or is_occupied(link) or there == (wanted and real(wanted)):
        return
    what = f"it leads to {there or 'nothing, for it is not there'}, and the store says {wanted or 'that there is none'}"
    repair = (
        "glmd reload or a restart of glmd fixes it: it keeps what a person has set, and completes what a crash left"
    )
    yield Disagreement(Kind.LATEST, present.job, link, what, repair)


def _promotions(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    for one in ledger.promotions():
        if one.job is not None and ledger.label(one.job) is None:
            what = f"it was promoted as latest/{one.prefix} at {one.at:%Y-%m-%d %H:%M}, and the store knows no such job"
            repair = "take glmd.db from the backup that has it; the promotion itself is valid"
            yield Disagreement(Kind.PROMOTION, one.job, ledger.path, what, repair)
    for one in ledger.bases():
        directory = one.directory(root.path)
        if directory is not None and not (directory / NAME).is_file():
            what = f"nightly cycle {one.cycle} starts from it next, and no {NAME} is there"
            repair = f"put it back, or glmd rollback {one.prefix} --to JOB, or glmd promote JOB"
            yield Disagreement(Kind.PROMOTION, one.job, directory, what, repair)


def _wrong_link(link: Path) -> str | None:
    if not link.is_symlink():
        return "it is no symbolic link"
    if not link.exists():
        return f"it leads to {link.readlink()}, which is not there"
    try:
        outline = read_outline(link / NAME)
    except (FileNotFoundError, NotADirectoryError):
        return f"it leads to {link.readlink()}, which has no {NAME}: no merge was finished there"
    except (OSError, CkptError):
        return f"it leads to {link.readlink()}, the {NAME} of which cannot be read"
    return f"it leads to an output of prefix {outline.prefix}" if outline.prefix != link.name else None
