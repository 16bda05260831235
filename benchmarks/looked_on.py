"""What it costs a training that people look on: the time of a step of the real rehearsal, with 32 streams and without.

    GLMD_TRAINING_PYTHON=… python benchmarks/looked_on.py [--pairs 8]

As benchmarks/step_time.py, whose way this is: the plan of one job is run by shims, in turns with a real `glmd web` that
tells 32 browsers of that job, and with one that nobody asks.
"""

import argparse
import os
import sys
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path

from browsing import Page, Stream, begun
from measuring import Report
from step_time import longer, pair, prepare, timed

from daemon.client.rehearsal import Stage, training_python
from daemon.core.states import State
from daemon.core.store import Store
from daemon.face.web.live import MOST_STREAMS
from handlers.records.job_dir import JobDir

MOST = 1.01
"""The target: a step with streams, to one without."""
_LEAST = 3
"""Events that a browser hears of a training."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8, help="of trainings")
    looked_on(parser.parse_args().pairs, Report())


def looked_on(pairs: int, report: Report) -> None:
    """Report how much longer a step takes."""
    report.part(f"trainings of {pairs} pairs, with {MOST_STREAMS} streams and with none")
    with tempfile.TemporaryDirectory(prefix="glmd-benchmark-") as directory:
        stage = Stage(Path(directory), training_python(Path(os.environ.get("GLMD_TRAINING_PYTHON", ""))))
        stage.furnish()
        prepared = prepare(stage)
        with closing(Page(stage.root.path)) as page:
            names = count(1)

            def train(looks: bool) -> float:  # noqa: FBT001 - called back so
                return _trained(stage, prepared, page, f"timed{next(names)}", streams=MOST_STREAMS if looks else 0)

            found = [pair(number, train) for number in range(pairs)]
    step, *shares = longer(found)
    ratio, least, most = (1 + share for share in shares)
    report.figure("a step without streams, ms", step)
    report.figure(f"a step with {MOST_STREAMS} streams to one without, ratio", ratio, f"<= {MOST}", met=ratio <= MOST)
    report.figure("95 % interval, from", least)
    report.figure("95 % interval, to", most)


def _trained(stage: Stage, prepared: JobDir, page: Page, name: str, *, streams: int) -> float:
    """Let a job of its own train while so many look; return the mean time of a step, in ms."""
    root = stage.root.path
    job = begun(root, name, (0, 1), State.PREPARING, State.TRAINING)
    looking = [Stream(page, f"job:{job.id}") for _ in range(streams)]
    found = timed(prepared, job.directory(root))
    for stream in looking:
        stream.close()
        if stream.count < _LEAST:
            sys.exit(f"a browser heard {stream.count} events of a whole training")
    with Store.open(stage.root.store) as store:
        store.move(job, State.FAILED, "it was only timed")
    return found


if __name__ == "__main__":
    main()
