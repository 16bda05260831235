"""Today's run_mindformer.py, whose rank 1 stops after step 6, to be killed there: settings name it as `training.entry`.

It does so once a job, and while the directory HALTS is there: HALTS/NAME-OF-THE-JOB then holds its process id. All
options are those of run_mindformer.py, as `--output_dir`. Runs in the environment of today's stack (Python 3.11).
"""

import os
import signal
from pathlib import Path

import cpu_layouts  # before anything of MindFormers
import run_mindformer
from mindformers.core.callback.callback import MFLossMonitor

STEP = 6
HALTS = Path(os.environ["HALTS"])
OUTPUT = Path(os.environ["LOCAL_DEFAULT_PATH"])

log_step = MFLossMonitor.on_train_step_end


def log_and_halt(self: MFLossMonitor, run_context: object) -> None:
    """Take the place of on_train_step_end."""
    log_step(self, run_context)
    place = HALTS / OUTPUT.parent.name
    if cpu_layouts.RANK == 1 and run_context.original_args().cur_step_num == STEP and HALTS.is_dir():
        if place.exists():
            return
        place.with_suffix(".tmp").write_text(str(os.getpid()))
        place.with_suffix(".tmp").rename(place)
        signal.pause()


MFLossMonitor.on_train_step_end = log_and_halt
run_mindformer.main()
