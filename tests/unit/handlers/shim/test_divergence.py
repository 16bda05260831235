"""A training that diverges, with real ranks: ended early, told exactly, and none of its saves after that is trusted."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handlers.codes import Code
from handlers.records.job_dir import Step
from handlers.records.job_plan import StopOn
from handlers.records.step_exit import Divergence, Outcome
from handlers.training_record.record import NAME, read

from .test_run import ended, finish, start

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

PRINT = """
def step(number, loss, overflow="False", scale="65536.0"):
    epoch, inside = divmod(number - 1, 4)
    mean = loss if len(loss) > 4 else f"{loss:>5}"
    print(
        f"2026-11-28 14:38:36,471 - mindformers[mindformers/core/callback/callback.py:311] - INFO - "
        f"{{ Epoch:[{epoch + 1:3d}/ 31], step:[{inside + 1:5d}/    4], loss:[{loss:>5}/{mean}], "
        f"per_step_time: 12ms, lr: 5e-05, overflow cond: {overflow}, loss_scale: {scale}",
        flush=True,
    )
    print("2026-11-28 14:38:36,472 - mindformers[mindformers/core/callback/callback.py:319] - INFO -   "
          "4.0% |██    | 6.46 samples/s/p  0:00:06 }", flush=True)
"""
NEVER = "while True: time.sleep(600)"
"""What only a signal ends."""


def let_run(workshop: "Workshop", *ranks: str, stop_on: StopOn | None = None, grace: float = 10.0) -> None:
    """Run a training of these ranks under a real shim to its end."""
    train = workshop.train(*(f"{PRINT}\n{rank}" for rank in ranks), grace=grace)
    workshop.publish(replace(train, stop_on=stop_on or StopOn()))
    finish(start(workshop))


def test_a_training_that_diverges_is_ended(workshop: "Workshop") -> None:
    """All ranks by TERM; exit.json and the reason say since when, with the curve and what to do."""
    lost = f"""
for number, loss in enumerate(("11.780", "4.200", "2.310", *["nan"] * 20), 1): step(number, loss)
{NEVER}
"""
    let_run(workshop, NEVER, lost)
    end = ended(workshop)
    assert (end.outcome, end.code, end.first) == (Outcome.FAILED, Code.TRAINING_DIVERGED, None)
    assert end.divergence == Divergence(epoch=1, step=4, number=4, sound=3)
    assert end.reason.startswith(
        "diverged at epoch 6 step 3: the loss is nan on 20 printed lines on end, since epoch 1 step 4; "
        "loss 11.78 → 4.2 → 2.31 → nan; cause: usually a learning rate"
    )
    assert "to do: see the curve: `glmd steps 42`" in end.reason
    assert end.diagnosis is not None
    assert (end.diagnosis.error, end.diagnosis.may_pass) == ("divergence", None)
    assert "`glmd steps 42`" in end.diagnosis.remedy
    assert {(exit_.rank, exit_.signal) for exit_ in end.processes} == {(0, "SIGTERM"), (1, "SIGTERM")}
    assert len(list(read(workshop.job_dir.step(1, Step.TRAIN).path / NAME))) == 23


def test_a_deaf_rank_is_killed_after_the_grace(workshop: "Workshop") -> None:
    """As for a time limit."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nfor n in range(1, 4): step(n, 'inf')\n" + NEVER
    let_run(workshop, deaf, stop_on=StopOn(not_finite=3), grace=0.2)
    end = ended(workshop)
    assert end.code == Code.TRAINING_DIVERGED
    assert [exit_.signal for exit_ in end.processes] == ["SIGKILL"]
    assert end.divergence == Divergence(epoch=1, step=1, number=1, sound=None)


def test_a_search_for_the_loss_scale_ends_nothing(workshop: "Workshop") -> None:
    """The shipped YAMLs overflow on their first twenty steps; a training is completed as ever."""
    let_run(
        workshop,
        """
for number in range(1, 22): step(number, "nan", "True", str(4294967296.0 / 2**number))
for number in range(22, 26): step(number, "11.700")
""",
        stop_on=StopOn(not_finite=3),
    )
    end = ended(workshop)
    assert (end.outcome, end.divergence) == (Outcome.COMPLETED, None)


def test_a_training_that_was_over_before_anybody_looked_has_diverged_too(workshop: "Workshop") -> None:
    """It is no success for having been quick."""
    let_run(workshop, "step(1, '2.000')\nfor number in range(2, 30): step(number, 'nan')")
    end = ended(workshop)
    assert (end.outcome, end.code) == (Outcome.FAILED, Code.TRAINING_DIVERGED)
    assert [exit_.exit_code for exit_ in end.processes] == [0]
    assert end.silences is None


def test_a_rank_that_fails_of_it_is_told_as_such_and_the_divergence_too(workshop: "Workshop") -> None:
    """Whatever ended the training, what was saved since is not trusted."""
    let_run(workshop, "for n in range(1, 4): step(n, 'nan')\nraise ValueError('no')", stop_on=StopOn(not_finite=3))
    end = ended(workshop)
    assert end.outcome is Outcome.FAILED
    assert end.divergence == Divergence(epoch=1, step=1, number=1, sound=None)


def test_a_rise_ends_a_training_where_it_is_asked_for(workshop: "Workshop") -> None:
    """It is off by default."""
    rises = "for n in range(1, 41): step(n, '2.000' if n <= 20 else '9.000')"
    let_run(workshop, rises)
    assert ended(workshop).outcome is Outcome.COMPLETED
    again(workshop)
    let_run(workshop, f"{rises}\n{NEVER}", stop_on=StopOn(rise=4))
    end = ended(workshop)
    assert end.code == Code.TRAINING_DIVERGED
    assert "the loss is above 4 × 2, the run's median, on 20 printed lines on end" in end.reason
    assert end.divergence == Divergence(epoch=6, step=1, number=21, sound=20)


def test_what_is_off_ends_nothing(workshop: "Workshop") -> None:
    """It trains on to its end, as asked."""
    let_run(workshop, "for n in range(1, 60): step(n, 'nan')", stop_on=StopOn(not_finite=None))
    end = ended(workshop)
    assert (end.outcome, end.divergence) == (Outcome.COMPLETED, None)


@pytest.mark.parametrize("number", ("999999999/999999999], step:[999999999/999999999", "  0/  0], step:[    0/    0"))
def test_numbers_that_no_training_has_make_no_bad_record(workshop: "Workshop", number: str) -> None:
    """A damaged log breaks nothing."""
    line = f"{{ Epoch:[{number}], loss:[nan/nan], per_step_time: 12ms, "
    let_run(workshop, f"print({line!r})", stop_on=StopOn(not_finite=1))
    assert ended(workshop).code == Code.TRAINING_DIVERGED


def again(workshop: "Workshop") -> None:
    """Make room for a second run of the same attempt."""
    directory = workshop.job_dir.step(1, Step.TRAIN).path
    for path in (*directory.iterdir(), workshop.job_dir.rank_log(0)):
        Path(path).unlink()
