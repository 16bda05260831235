"""All jobs, one after the other; of very many, by several processes."""

import gc
import os
import signal
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from daemon.face.audit.disagreement import Disagreement
from daemon.face.audit.job_files import JobFiles
from daemon.face.audit.job_rules import Look, job_disagreements
from daemon.face.audit.ledger import Ledger, Row, read_ledger
from daemon.face.audit.ledger_rules import history_disagreements
from daemon.face.audit.output_rules import is_manifest_alone, output_disagreements

CHUNK = 500
"""Jobs that are looked at together."""
ALONE = 2000
"""Jobs that one process looks at before others could have begun."""
MOST_PROCESSES = 4

Progress = Callable[[int, int], None]
"""Gets how much is done, and of how much."""


def jobs_disagreements(
    ledger: Ledger, look: Look, only: Collection[int] | None, progress: Progress
) -> Iterator[Disagreement]:
    """Yield what is wrong with each job, or each of those in `only`."""
    total = len(ledger)
    if only is not None:
        yield from _of_rows(ledger.rows_of(only), ledger.path, look)
    elif total <= ALONE:
        for done, chunk in enumerate(ledger.chunks(CHUNK)):
            progress(done * CHUNK, total)
            yield from _of_rows(ledger.rows(*chunk), ledger.path, look)
    else:
        yield from _by_several(ledger, look, progress)


def _by_several(ledger: Ledger, look: Look, progress: Progress) -> Iterator[Disagreement]:
    total = len(ledger)
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)))
    pool = ProcessPoolExecutor(processes, get_context("fork"), initializer=_begin)
    try:
        found = [pool.submit(_of_chunk, ledger.path, look, *chunk) for chunk in ledger.chunks(CHUNK)]
        for done, of_chunk in enumerate(found):
            progress(done * CHUNK, total)
            yield from of_chunk.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the one that has begun them ends them
    gc.disable()  # it lives for seconds, and would spend a sixth of them on looking for cycles


def _of_chunk(store: Path, look: Look, first: int, last: int) -> list[Disagreement]:
    with read_ledger(store, checked=True) as ledger:
        return list(_of_rows(ledger.rows(first, last), store, look))


def _of_rows(rows: Iterator[Row | Disagreement], store: Path, look: Look) -> Iterator[Disagreement]:
    for row in rows:
        if isinstance(row, Disagreement):
            yield row
            continue
        files = JobFiles(row.job.directory(look.root))
        yield from history_disagreements(row, store)
        yield from job_disagreements(row, files, look)
        if not (files.directory.path.name in look.without_files and is_manifest_alone(files)):
            yield from output_disagreements(row, files)
