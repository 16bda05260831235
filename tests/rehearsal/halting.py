"""Today's run_mindformer.py, whose rank 1 stops in the second epoch, to be killed there: it is `training.entry`.

It does so once for each directory of outputs, and while the directory HALTS is there: a file in that then holds its
process id, called like what the outputs lie in: the job's directory, or on nodes of Slurm that of the attempt. All
options are those of run_mindformer.py, as `--output_dir`. Runs in the environment of today's stack (Python 3.11).
"""

import os
import signal
from pathlib import Path

import cpu_layouts  # before anything of MindFormers
import run_mindformer
from mindformers.core.callback.callback import MFLossMonitor

EPOCH, STEP = 2, 2
HALTS = Path(os.environ["HALTS"])
OUTPUT = Path(os.environ["LOCAL_DEFAULT_PATH"])

log_step = MFLossMonitor.on_train_step_end


def log_and_halt(self: MFLossMonitor, run_context: object) -> None:
    """Take the place of on_train_step_end."""
    log_step(self, run_context)
    place, now = HALTS / OUTPUT.parent.name, run_context.original_args()
    # A training that is resumed counts its steps anew, but not its epochs.
    is_there = now.cur_epoch_num == EPOCH and (now.cur_step_num - 1) % now.batch_num == STEP - 1
    if cpu_layouts.RANK == 1 and is_there and HALTS.is_dir():
        if place.exists():
            return
        place.with_suffix(".tmp").write_text(str(os.getpid()))
        place.with_suffix(".tmp").rename(place)
        signal.pause()


MFLossMonitor.on_train_step_end = log_and_halt
run_mindformer.main()
