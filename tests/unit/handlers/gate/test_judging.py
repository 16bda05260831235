"""Promises of handlers.gate: real outputs, records and verdicts are read, and one is the next one's champion."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt.planning.origin import Origin
from handlers.gate.configuration import configuration
from handlers.gate.gate import Gate, LossLimits
from handlers.gate.judging import Judged, judge
from handlers.gate.standing import Evaluated
from handlers.gate.verdict import Rule, Verdict
from handlers.merging.merge import run as merge_run
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.records.checked import Checked, PathLook, Spot, Wanted
from handlers.records.job_dir import JobDir, Step
from handlers.records.merge_plan import MergePlan
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header
from tests.unit.handlers.ckpt.ckpt_writer import small_run

RISE = Gate(loss=LossLimits(max_rise="5%", over=2))


class Night:
    """A job that was trained and merged."""

    def __init__(self, root: Path, number: int, losses: tuple[float, ...], *, nan: bool = False) -> None:
        self.root, self.number = root, number
        self.directory = JobDir(root / "jobs" / f"{number:04d}-run")
        run = small_run(self.directory.output)
        if nan:
            run.tensors["layers.0.query_key_value.bias"][3] = np.nan
        run.write()
        plan = MergePlan(
            source=run.source,
            destination=self.directory.merged,
            origin=Origin(job=number),
            allow_not_finite=("*",),
        )
        merge_run(plan)
        self.directory.submitted.write_text("seed: 0\n")
        self.write()
        self.record(1, losses)

    def write(self, config: str = "seed: 0\nload_checkpoint: /x\n", data: Path | None = None, devices: int = 2) -> None:
        """Say what it was trained with."""
        self.directory.config.write_text(config)
        where = "train_dataset.data_loader.dataset_dir"
        spot = Spot(line=1, column=1, where=where, excerpt="")
        file = data or self.root / "train.json"
        if not file.exists():
            file.write_text("{}\n")
        Checked(
            digest="d", mindformers=None, against="", dialect="0.8", section={}, devices=tuple(range(devices)),
            devices_at=spot, run_mode="finetune", prefix="glm-6b", device_target="CPU", parallel_mode=0,
            needs_strategy=False, cuts_weights=False, sink_size=None, stages=1, lora_alpha=None, lora_rank=None,
            paths=(PathLook(path=str(file), wanted=Wanted.FILE, at=spot),), disk=None,
        ).publish(self.directory.checked)  # fmt: skip

    def record(self, attempt: int, losses: tuple[float, ...], first: int = 1) -> None:
        """Let an attempt have recorded steps."""
        directory = self.directory.step(attempt, Step.TRAIN).path
        directory.mkdir(parents=True)
        steps = [
            LoggedStep(StepLine(time=None, epoch=1, epochs=1, step=number, steps=100, loss=loss), number)
            for number, loss in enumerate(losses, first)
        ]
        RecordWriter(directory, Header(self.number, attempt, 0, 2, "npu01", 1, 100)).append(steps, 0)

    def hashed(self, digest: str) -> None:
        """Let its manifest name the data with a hash."""
        path = self.directory.merged / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["inputs"] = [{"path": f"/data/{self.number}.json", "bytes": 3, "sha256": digest}]
        path.write_text(json.dumps(manifest))

    def judged(self, gate: Gate = RISE, evaluated: Evaluated | None = None) -> Judged:
        """Hold it against the gate, and what `latest` leads to."""
        champion = self.root / "latest" / "glm-6b"
        return judge(self.directory, gate, champion, evaluated, job=self.number, attempt=1)

    def promoted(self) -> Verdict:
        """Let it be what `latest` leads to."""
        verdict = self.judged().verdict
        verdict.publish(self.directory.verdict)
        link = self.root / "latest" / "glm-6b"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(self.directory.merged, link.parent))
        return Verdict.read(self.directory.verdict)


def rule(judged: Judged, name: str = "loss.max_rise") -> Rule:
    """Return one rule."""
    return next(one for one in judged.verdict.rules if one.name == name)


def test_the_first_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    """It passes, and its verdict has what the next one needs."""
    first = Night(tmp_path, 40, (9.0, 2.2, 2.0)).promoted()
    assert first.passed
    assert (first.final_loss, first.over, first.champion) == (pytest.approx(2.1), 2, "")
    assert first.configuration
    assert first.inputs is not None
    assert [one.path for one in first.inputs] == [str(tmp_path / "train.json")]


def test_the_next_is_held_against_it(tmp_path: Path) -> None:
    """By the mean of its last steps; who it was and where it lies is in the verdict."""
    Night(tmp_path, 40, (9.0, 2.2, 2.0)).promoted()
    better = Night(tmp_path, 41, (9.0, 2.2, 2.1)).judged()
    assert (better.verdict.passed, rule(better).passed) == (True, True)
    worse = Night(tmp_path, 42, (9.0, 2.3, 2.4)).judged()
    assert worse.verdict.reason == "loss 2.35 is 12 % above 2.1 of job 40"
    assert (worse.verdict.champion_job, worse.verdict.code) == (40, "gate.loss")
    assert worse.verdict.champion == str(tmp_path / "jobs" / "0040-run" / "merged")


def test_attempts_are_one_training(tmp_path: Path) -> None:
    """What a later one did again counts as that did it."""
    night = Night(tmp_path, 40, (9.0, 8.0, 7.0, 6.0))
    night.record(2, (3.0, 2.0), first=3)
    assert night.judged().verdict.final_loss == pytest.approx(2.5)


def test_another_night_of_a_cycle_is_the_same_training(tmp_path: Path) -> None:
    """With a date in the names of its data, and another base to go on from; with other bytes it is not."""
    base = "seed: 0\nload_checkpoint: /a\ncallbacks: [{type: MFLossMonitor}]\ntrain_dataset: {dir: /data/28.json}\n"
    first, second = Night(tmp_path, 40, (2.0, 2.0)), Night(tmp_path, 41, (3.0, 3.0))
    first.write(base)
    second.write(base.replace("/a", "/b").replace("28", "29"))
    first.hashed("aa")
    second.hashed("aa")
    first.promoted()
    assert rule(second.judged()).passed is False
    second.hashed("bb")
    assert "other data" in rule(second.judged()).why


@pytest.mark.parametrize("change", ("epochs: 2", "ranks", "data"))
def test_another_training_is_not_judged_by_this_rule(tmp_path: Path, change: str) -> None:
    """With other steps, on other ranks, or after its data were written anew."""
    Night(tmp_path, 40, (2.0, 2.0)).promoted()
    other = Night(tmp_path, 41, (3.0, 3.0))
    if change == "data":
        (tmp_path / "train.json").write_text("[1]\n")
    else:
        other.write(*(("seed: 0\nepochs: 2\n",) if change != "ranks" else ()), devices=4 if change == "ranks" else 2)
    assert (rule(other.judged()).passed, other.judged().verdict.passed) == (None, True)


@pytest.mark.parametrize("case", ("no verdict", "damaged", "gone", "itself"))
def test_a_champion_that_tells_nothing_holds_nobody_up(tmp_path: Path, case: str) -> None:
    """An older glmd merged it, say."""
    first = Night(tmp_path, 40, (2.0, 2.0))
    first.promoted()
    match case:
        case "no verdict":
            first.directory.verdict.unlink()
        case "damaged":
            first.directory.verdict.write_text("{")
        case "gone":
            (first.directory.merged / "manifest.json").unlink()
    night = first if case == "itself" else Night(tmp_path, 41, (3.0, 3.0))
    found = night.judged()
    assert (found.verdict.passed, rule(found).passed) == (True, None)


@pytest.mark.parametrize("case", ("manifest", "file", "short", "not a manifest"))
def test_an_output_that_is_not_whole_does_not_pass(tmp_path: Path, case: str) -> None:
    """Whatever else there is to say of it."""
    night = Night(tmp_path, 40, (2.0, 2.0))
    file = night.directory.merged / "filtered_transformed.ckpt"
    match case:
        case "manifest":
            (night.directory.merged / "manifest.json").unlink()
        case "file":
            file.unlink()
        case "short":
            file.write_bytes(file.read_bytes()[:-1])
        case _:
            (night.directory.merged / "manifest.json").write_text("{")
    found = night.judged(Gate(evaluate="bleu"))
    assert (found.verdict.passed, found.verdict.code, found.needs_evaluation) == (False, "gate.not-whole", False)
    assert str(night.directory.merged) in found.verdict.reason


def test_weights_that_are_not_finite_are_not_evaluated(tmp_path: Path) -> None:
    """They do not pass, and the reason names them."""
    found = Night(tmp_path, 40, (2.0, 2.0), nan=True).judged(Gate(evaluate="bleu"))
    assert not found.needs_evaluation
    assert found.verdict.code == "gate.not-finite"
    assert "layers.0.query_key_value.bias (1 NaN)" in found.verdict.reason
    assert rule(found, "evaluate").passed is None


def test_what_an_evaluation_told_is_kept(tmp_path: Path) -> None:
    """It is asked for only before it was run."""
    night = Night(tmp_path, 40, (2.0, 2.0))
    gate = Gate(evaluate="bleu")
    assert night.judged(gate).needs_evaluation
    found = night.judged(gate, Evaluated("bleu", {"bleu": 0.3}))
    assert (found.needs_evaluation, found.verdict.passed, found.verdict.metrics) == (False, True, {"bleu": 0.3})


@pytest.mark.parametrize("losses", ((2.0, float("nan")), (float("inf"), -float("inf")), (2.0, float("inf"))))
def test_a_loss_that_is_none_can_be_written_down(tmp_path: Path, losses: tuple[float, float]) -> None:
    """JSON has no NaN, and a later reader must not stumble."""
    night = Night(tmp_path, 40, losses)
    verdict = night.judged(Gate(loss=LossLimits(max=3, over=2))).verdict
    verdict.publish(night.directory.verdict)
    assert Verdict.read(night.directory.verdict).final_loss is None
    assert verdict.reason == "the loss of its last 2 steps is not finite"


def test_a_tree_has_no_training(tmp_path: Path) -> None:
    """It is judged by what the merge knows."""
    night = Night(tmp_path, 40, ())
    night.directory.submitted.unlink()
    found = night.judged(Gate(loss=LossLimits(max=1, max_rise="1%")))
    assert found.verdict.passed
    assert {one.passed for one in found.verdict.rules} == {True, None}


def test_what_shapes_the_loss_is_told_apart_from_what_does_not() -> None:
    """Paths, callbacks and the data of evaluation do not; learning rates and ranks do."""
    config: dict[str, object] = {"lr_schedule": {"learning_rate": 1e-4}, "load_checkpoint": "/a", "model": {"v": "/m"}}
    same = {**config, "load_checkpoint": "/b", "model": {"v": "/n"}, "callbacks": [1], "eval_dataset": {"dir": "/e"}}
    assert configuration(config, 8) == configuration(same, 8)
    assert configuration(config, 8) != configuration(config, 4)
    assert configuration(config, 8) != configuration({**config, "lr_schedule": {"learning_rate": 2e-4}}, 8)
