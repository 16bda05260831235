"""What must be true of the places that no job owns: claims/, rejected/, jobs/ as a whole, and temporary names."""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from daemon.core.names import REASON, reason_file
from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.temporaries import PATTERN, living_shim, temporaries_of_the_root
from daemon.face.audit.disagreement import Disagreement, Kind
from daemon.face.audit.job_rules import WAS_BEING_WRITTEN
from daemon.face.audit.ledger import Ledger
from handlers.records.job_dir import Step, is_number


def claimed_tokens(root: Root) -> frozenset[str]:
    """Return the tokens of the claims that are not finished."""
    return frozenset(path.name for path in root.claims.glob("*"))


def place_disagreements(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    """Yield what is wrong outside of the jobs' directories."""
    yield from _claims(ledger, root)
    yield from _rejected(root)
    yield from _directories(ledger, root)
    yield from _temporaries(root, is_merging=_is_merging(ledger, root))


def _claims(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    taken: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for claim in sorted(root.claims.glob("*")):
        files = sorted(claim.glob("*")) if claim.is_dir() else [claim]
        job = ledger.claimed(claim.name)
        names = ", ".join(ascii(path.name)[1:-1] for path in files) or "nothing"
        what = f"{names} was taken out of the inbox, and is {'still there' if job else 'no job and not rejected'}"
        repair = "start glmd, which finishes it; a running one tries again every inbox.rescan, and logs why it cannot"
        yield Disagreement(Kind.CLAIM_LEFT, job.id if job else None, claim, what, repair)
        for path in files:
            with suppress(FileNotFoundError):  # the daemon has finished it meanwhile
                status = path.lstat()
                taken[status.st_dev, status.st_ino].append(path)
    for paths in taken.values():
        for extra in paths[1:]:
            what = f"it is the same file as {paths[0]}"
            yield Disagreement(Kind.CLAIMED_TWICE, None, extra, what, "remove one of the two while glmd is stopped")


def _rejected(root: Root) -> Iterator[Disagreement]:
    there = set(root.rejected.glob("[!.]*"))
    reasons = {reason_file(path) for path in there} & there
    for path in sorted(there - reasons):
        if reason_file(path) in there:
            continue
        if path.name.endswith(REASON):
            what, kind = "the file that it is about is not there", Kind.REASON_WITHOUT_FILE
            yield Disagreement(kind, None, path, what, "remove it")
        else:
            what, kind = "nothing says why it was rejected", Kind.REJECTED_WITHOUT_REASON
            yield Disagreement(kind, None, path, what, "glmd check says what is wrong with it; then remove it")


def _is_merging(ledger: Ledger, root: Root) -> bool:
    merging = (job.directory(root.path).step(job.attempt, Step.MERGE) for job in ledger.jobs([State.MERGING]))
    return any(living_shim(step) is not None for step in merging)


def _directories(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    with os.scandir(root.jobs) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            number = entry.name.partition("-")[0]
            job = int(number) if is_number(number) else None
            if job is None or ledger.label(job) != entry.name:
                what = "the store knows no job of this name"
                repair = "take glmd.db from the backup that has it, or move the directory out of jobs/"
                yield Disagreement(Kind.DIRECTORY_WITHOUT_JOB, job, Path(entry.path), what, repair)


def _temporaries(root: Root, *, is_merging: bool) -> Iterator[Disagreement]:
    places = (root.rejected, *([] if is_merging else [root.latest]))
    left = (path for place in places for path in sorted(place.glob(PATTERN)))
    for path in (*left, *temporaries_of_the_root(root)):
        yield Disagreement(Kind.TEMPORARY_LEFT, None, path, WAS_BEING_WRITTEN, "restart glmd, which removes it")
