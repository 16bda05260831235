"""Jobs that trained, as far as the commands that show it need them."""

from daemon.core.states import Job, State
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.records.job_dir import Step
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header
from tests.unit.daemon.commands.conftest import Site

DONE = (State.PREPARING, State.TRAINING, State.MERGING, State.DONE)


def log_lines(numbers: range, loss: float = 9.0) -> str:
    """Return what a rank logs of steps, whose losses fall from `loss`."""
    prefix = "2026-11-24 09:{:02d}:{:02d},000 - mindformers[callback.py:312] - INFO - "
    text = ""
    for number in numbers:
        epoch, step = divmod(number - 1, 4)
        head = prefix.format(*divmod(number, 60))
        text += f"{head}{{ Epoch:[{epoch + 1:3d}/ 31], step:[{step + 1:5d}/    4], loss:[{loss / number:.3f}/1.000], "
        text += "per_step_time: 500ms, overflow cond: False, loss_scale: 65536.0\n"
        text += f"{head}   4.0% |██    | 6.46 samples/s/p  0:00:06 }}\n"
    return text


def record(
    site: Site, job: Job, numbers: range, *, attempt: int = 1, loss: float = 9.0, **fields: float | bool
) -> None:
    """Let an attempt of a job have done steps, one a second."""
    directory = job.directory(site.root.path).step(attempt, Step.TRAIN).path
    directory.mkdir(parents=True, exist_ok=True)
    steps = []
    for number in numbers:
        epoch, step = divmod(number - 1, 4)
        line = StepLine(
            time=1.79e9 + number, epoch=epoch + 1, epochs=31, step=step + 1, steps=4, loss=loss / number, **fields
        )
        steps.append(LoggedStep(line, 100 * number))
    RecordWriter(directory, Header(job.id, attempt, 1, 2, "npu01", 31, 4)).append(steps, 1)
