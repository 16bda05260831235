"""What must be true of the places that no job owns: claims/, rejected/, jobs/ as a whole, and temporary names."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from daemon.claims import REASON, reason_file
from daemon.root import Root
from daemon.state_check.disagreement import Disagreement, Kind
from daemon.state_check.ledger import Ledger
from daemon.temporaries import temporaries
from handlers.job_dir import is_number

if TYPE_CHECKING:
    from pathlib import Path


def claimed_tokens(root: Root) -> frozenset[str]:
    """Return the tokens of the claims that are not finished."""
    return frozenset(path.name for path in root.claims.glob("*"))


def place_disagreements(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    """Yield what is wrong outside of the jobs' directories, and the temporary files of all."""
    yield from _claims(ledger, root)
    yield from _rejected(root)
    yield from _directories(ledger, root)
    yield from _temporaries(root)


def _claims(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    jobs = {row.claim: row.job for row in ledger.rows}
    taken: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for claim in sorted(root.claims.glob("*")):
        files = sorted(claim.glob("*")) if claim.is_dir() else [claim]
        job = jobs.get(claim.name)
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


def _directories(ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    known = {label: job for job, label in ledger.labels.items()}
    for path in sorted(root.jobs.glob("[!.]*")):
        if path.name not in known:
            number = path.name.partition("-")[0]
            job = int(number) if is_number(number) else None
            what = "the store knows no job of this name"
            repair = "take glmd.db from the backup that has it, or move the directory out of jobs/"
            yield Disagreement(Kind.DIRECTORY_WITHOUT_JOB, job, path, what, repair)


def _temporaries(root: Root) -> Iterator[Disagreement]:
    for path in temporaries(root):
        what = "it was being written when its writer was killed"
        yield Disagreement(Kind.TEMPORARY_LEFT, None, path, what, "restart glmd, which removes it")
