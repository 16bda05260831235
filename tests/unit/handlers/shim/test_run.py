"""One step as its own process."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from handlers.ckpt.planning.origin import Origin
from handlers.ckpt.publishing.manifest import Manifest, read_manifest
from handlers.inputs.noting import note
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from tests.unit.handlers.ckpt.ckpt_writer import small_run

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

NEVER = "print('ready'); time.sleep(600)"


def start(workshop: "Workshop", step: Step = Step.TRAIN, *, attempt: int = 1) -> subprocess.Popen[str]:
    """Start a shim as the daemon does without systemd."""
    command = [sys.executable, "-m", "handlers.shim", str(workshop.job_dir.path), str(attempt), step]
    return subprocess.Popen(command, env=workshop.environment, stderr=subprocess.PIPE, text=True)


def finish(shim: subprocess.Popen[str]) -> tuple[int, str]:
    """Return a shim's exit code and what it said on stderr."""
    _, said = shim.communicate(timeout=60)
    return shim.returncode, said


def ended(workshop: "Workshop", step: Step = Step.TRAIN) -> StepExit:
    """Read exit.json."""
    return StepExit.read(workshop.job_dir.step(1, step).exit)


def events_of(workshop: "Workshop") -> list[dict[str, object]]:
    """Read events.jsonl."""
    return [json.loads(line) for line in workshop.job_dir.events.read_text().splitlines()]


def test_completed_step(workshop: "Workshop") -> None:
    """The shim exits 0 and leaves who it was, how the step ended, and the job's events."""
    workshop.publish(workshop.train("pass", "pass"))
    shim = start(workshop)
    assert finish(shim)[0] == 0
    end = ended(workshop)
    assert (end.step, end.outcome, end.reason, len(end.processes)) == (Step.TRAIN, Outcome.COMPLETED, "", 2)
    record = ShimRecord.read(workshop.job_dir.step(1, Step.TRAIN).shim)
    assert record.pid == shim.pid
    assert record.started == end.started <= end.ended
    events = events_of(workshop)
    assert [event["event"] for event in events] == [
        "step_started",
        "process_started",
        "process_started",
        "process_exited",
        "process_exited",
        "output_saved",
        "step_ended",
    ]
    assert all((event["job"], event["attempt"], event["step"]) == (42, 1, "train") for event in events)


@pytest.mark.parametrize("name", (None, "graph.meta", "demo_rank_0-1_1.ckpt.tmp"))
def test_ranks_that_saved_nothing_trained_nothing(workshop: "Workshop", name: str | None) -> None:
    """Whatever they exited with: an interpreter that is none, a script that does nothing. The reason names both."""
    train = workshop.train("pass", "pass")
    workshop.publish(train)
    shutil.rmtree(workshop.job_dir.output)
    if name:
        workshop.save(name)
    assert finish(start(workshop))[0] == 1
    end = ended(workshop)
    assert (end.outcome, end.silences, len(end.processes)) == (Outcome.FAILED, None, 2)
    assert f"saved anything in {workshop.job_dir.output / 'checkpoint'}" in end.reason
    for told in (train.processes[0].argv[0], "training.python", "training.checkout", "`glmd logs 42 --rank 0`"):
        assert told in end.reason


def test_what_ranks_save_while_the_directory_is_away_is_saved(workshop: "Workshop", tmp_path: Path) -> None:
    """They make the directory anew, under its old name; whoever puts the other one back has both."""
    away = tmp_path / "away"
    workshop.publish(workshop.train(f"""
    os.rename({str(workshop.job_dir.path)!r}, {str(away)!r})
    shard = Path({str(workshop.job_dir.output)!r}, "checkpoint", "rank_0", "demo_rank_0-1_4.ckpt")
    shard.parent.mkdir(parents=True)
    shard.touch()
    """))  # fmt: skip
    shutil.rmtree(workshop.job_dir.output)
    assert finish(start(workshop))[0] == 0
    assert StepExit.read(JobDir(away).step(1, Step.TRAIN).exit).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    "place", ("checkpoint/rank_3/a_rank_3_1-1_4.safetensors", "checkpoint_network/rank_0/a_rank_0-network.ckpt")
)
def test_any_save_counts(workshop: "Workshop", place: str) -> None:
    """Whatever its rank, tag, prefix or format: what it is worth, the merge says."""
    workshop.publish(workshop.train("pass"))
    shutil.rmtree(workshop.job_dir.output)
    path = workshop.job_dir.output / place
    path.parent.mkdir(parents=True)
    path.touch()
    assert finish(start(workshop))[0] == 0
    assert ended(workshop).outcome is Outcome.COMPLETED


HEAVY = ("pydantic", "structlog", "rich", "psutil", "numpy", "xxhash", "asyncio", "watchdog", "ruamel")


def test_ranks_wait_for_no_import(workshop: "Workshop") -> None:
    """What takes long to import is imported when the ranks have been started: the next job waits for this."""
    workshop.publish(workshop.train("pass"))
    told = "import sys; from handlers.shim import begun\n"
    told += "def start(plan, output, wakeups, log): print(*sys.modules); sys.stdout.flush(); raise OSError('enough')\n"
    told += "begun.start = start\nfrom handlers.shim.run import main\nmain(sys.argv[1:])"
    command = [sys.executable, "-c", told, str(workshop.job_dir.path), "1", "train"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert not set(HEAVY) & set(done.stdout.split())
    assert "handlers.training_record" not in done.stdout
    assert "handlers.shim.own_plan" in done.stdout
    assert ended(workshop).reason == "enough"


def test_living_shim_is_known_by_its_record(workshop: "Workshop") -> None:
    """While it runs, shim.json is the identity of a living process."""
    workshop.publish(workshop.train(NEVER))
    shim = start(workshop)
    workshop.until_printed(0, "ready")
    identity = ShimRecord.read(workshop.job_dir.step(1, Step.TRAIN).shim).identity
    assert identity.alive()
    assert identity.signal(signal.SIGTERM)
    assert finish(shim)[0] == 1
    assert not identity.alive()


def test_failed_step(workshop: "Workshop") -> None:
    """The shim exits 1, and the reason is in exit.json and among the events."""
    workshop.publish(workshop.train("sys.exit('Error: no data')"))
    assert finish(start(workshop))[0] == 1
    end = ended(workshop)
    assert end.outcome is Outcome.FAILED
    assert end.reason.startswith("rank 0 on device 4 exited 1 first (")
    assert end.reason.endswith("): Error: no data")
    last = events_of(workshop)[-1]
    assert (last["event"], last["reason"]) == ("step_ended", end.reason)


def test_advice_names_the_job(workshop: "Workshop") -> None:
    """No letter stands for a number in what is recorded: reason, diagnosis and event."""
    workshop.publish(workshop.train("pass", "raise KeyError('prefix')"))
    assert finish(start(workshop))[0] == 1
    end = ended(workshop)
    assert end.reason.endswith("read its traceback: `glmd logs 42 --rank 1`")
    assert end.diagnosis is not None
    assert end.diagnosis.remedy == "read its traceback: `glmd logs 42 --rank 1`"
    assert events_of(workshop)[-1]["reason"] == end.reason


@pytest.mark.parametrize("signum", (signal.SIGTERM, signal.SIGINT))
def test_stopped_step_is_cancelled(workshop: "Workshop", signum: signal.Signals) -> None:
    """TERM and INT end the ranks and are recorded as what they are."""
    workshop.publish(workshop.train(NEVER))
    shim = start(workshop)
    workshop.until_printed(0, "ready")
    shim.send_signal(signum)
    assert finish(shim)[0] == 1
    assert (ended(workshop).outcome, ended(workshop).reason) == (Outcome.CANCELLED, f"stopped by {signum.name}")


def test_killed_shim_takes_its_ranks_along(workshop: "Workshop") -> None:
    """SIGKILL of the shim leaves no rank, and no exit.json that would say more than is known."""
    workshop.publish(workshop.train(NEVER, NEVER))
    shim = start(workshop)
    workshop.until_printed(0, "ready")
    workshop.until_printed(1, "ready")
    shim.kill()
    finish(shim)
    workshop.eventually(lambda: not workshop.living(), "all ranks are gone")
    assert not workshop.job_dir.step(1, Step.TRAIN).exit.exists()


def test_step_of_a_killed_shim_can_run_again(workshop: "Workshop") -> None:
    """The lock dies with its holder."""
    workshop.publish(workshop.train(NEVER))
    shim = start(workshop)
    workshop.until_printed(0, "ready")
    shim.kill()
    finish(shim)
    workshop.publish(workshop.train("pass"))
    assert finish(start(workshop))[0] == 0
    assert ended(workshop).outcome is Outcome.COMPLETED


def test_second_shim_refuses(workshop: "Workshop") -> None:
    """A step that runs is not run twice, and its records stay as they are."""
    workshop.publish(workshop.train(NEVER))
    first = start(workshop)
    workshop.until_printed(0, "ready")
    record, events = workshop.job_dir.step(1, Step.TRAIN).shim.read_bytes(), workshop.job_dir.events.read_bytes()
    exit_code, said = finish(start(workshop))
    assert (exit_code, json.loads(said)["reason"]) == (75, "another shim runs it")
    assert workshop.job_dir.step(1, Step.TRAIN).shim.read_bytes() == record
    assert workshop.job_dir.events.read_bytes() == events
    assert first.poll() is None
    first.terminate()
    finish(first)


def test_step_that_has_ended_is_not_run_again(workshop: "Workshop") -> None:
    """exit.json is the last word about a step."""
    workshop.publish(workshop.train("pass"))
    finish(start(workshop))
    record, end = workshop.job_dir.step(1, Step.TRAIN).shim.read_bytes(), ended(workshop)
    exit_code, said = finish(start(workshop))
    assert (exit_code, json.loads(said)["reason"]) == (75, "it has ended")
    assert (workshop.job_dir.step(1, Step.TRAIN).shim.read_bytes(), ended(workshop)) == (record, end)


def test_next_attempt_is_another_step(workshop: "Workshop") -> None:
    """What an earlier attempt left does not stand in the way."""
    workshop.publish(workshop.train("pass"), attempts=(1, 2))
    assert finish(start(workshop))[0] == 0
    assert finish(start(workshop, attempt=2))[0] == 0
    assert workshop.job_dir.step(2, Step.TRAIN).exit.exists()


def test_missing_plan(workshop: "Workshop") -> None:
    """Without plan.json the step fails and says what is missing."""
    assert finish(start(workshop))[0] == 1
    assert ended(workshop).outcome is Outcome.FAILED
    assert "plan.json" in ended(workshop).reason


def test_truncated_plan(workshop: "Workshop") -> None:
    """Half a plan.json starts nothing and is told as what it is."""
    workshop.publish(workshop.train(NEVER))
    whole = workshop.job_dir.plan.read_bytes()
    workshop.job_dir.plan.write_bytes(whole[: len(whole) // 2])
    assert finish(start(workshop))[0] == 1
    assert "plan.json: not a plan that this version can run: the file: Invalid JSON" in ended(workshop).reason


def test_plan_of_another_version(workshop: "Workshop") -> None:
    """A key that this version does not know is named."""
    workshop.publish(workshop.train(NEVER))
    plan = json.loads(workshop.job_dir.plan.read_text())
    plan["train"]["gpus"] = 8
    workshop.job_dir.plan.write_text(json.dumps(plan))
    assert finish(start(workshop))[0] == 1
    assert "train.gpus" in ended(workshop).reason


def test_job_without_training(workshop: "Workshop") -> None:
    """A job that only merges has nothing to train."""
    workshop.publish(None)
    assert finish(start(workshop))[0] == 1
    assert "plans no training" in ended(workshop).reason


def test_merge_that_cannot_be_done(workshop: "Workshop") -> None:
    """What the merge refuses is the step's reason."""
    workshop.publish(None)
    assert finish(start(workshop, Step.MERGE))[0] == 1
    assert ended(workshop, Step.MERGE).outcome is Outcome.FAILED
    assert str(workshop.job_dir.output) in ended(workshop, Step.MERGE).reason


def test_what_a_merge_left_out_unasked_is_an_event(workshop: "Workshop") -> None:
    """With its fields, for programs, and in the step's reason, for people."""
    workshop.publish(None)
    run = small_run(workshop.job_dir.output)
    weight = "layers.0.query_key_value.weight"
    run.tensors[f"ema.{weight}"], run.layouts[f"ema.{weight}"] = run.tensors[weight], run.layouts[weight]
    run.write()
    assert finish(start(workshop, Step.MERGE))[0] == 0
    assert ended(workshop, Step.MERGE).reason == "tag 31_4: 8 of 11 entries kept, without ema"
    events = {event["event"]: event for event in events_of(workshop)}
    dropped = events["family_dropped"]
    assert (dropped["level"], dropped["family"], dropped["entries"]) == ("warning", "ema", 1)
    assert events["shards_merged"]["stages"] == 1


def test_a_merge_of_diverged_weights_says_so(workshop: "Workshop") -> None:
    """They are kept, and the reason names them."""
    run = small_run(workshop.job_dir.output)
    run.tensors["layers.0.query_key_value.bias"][3] = np.nan
    run.write()
    merge = MergePlan(source=run.source, destination=workshop.job_dir.merged, allow_not_finite=("*",))
    JobPlan(job=42, name="demo", merge=merge).publish(workshop.job_dir.plan)
    assert finish(start(workshop, Step.MERGE))[0] == 0
    assert ended(workshop, Step.MERGE).reason == (
        "tag 31_4: 8 of 10 entries kept; 1 parameter holds NaN or infinity: layers.0.query_key_value.bias (1 NaN)"
    )
    assert (workshop.job_dir.merged / "manifest.json").exists()


def manifest_of_merge(workshop: "Workshop", attempt: int) -> Manifest:
    """Let the merge step of an attempt run, and return the manifest that it has published."""
    assert finish(start(workshop, Step.MERGE, attempt=attempt))[0] == 0
    return read_manifest(workshop.job_dir.merged / "manifest.json")


def test_a_merge_keeps_when_its_training_began(workshop: "Workshop") -> None:
    """Its first attempt, whichever saved the shards: a retry does not make a job a newer one."""
    workshop.publish(workshop.train("pass"), attempts=(1, 2))
    for attempt in (1, 2):
        assert finish(start(workshop, attempt=attempt))[0] == 0
    shutil.rmtree(workshop.job_dir.output / "checkpoint")
    small_run(workshop.job_dir.output).write()
    began = ShimRecord.read(workshop.job_dir.step(1, Step.TRAIN).shim).started
    assert manifest_of_merge(workshop, 2).origin == Origin(job=42, began=began.isoformat())


def test_a_merge_names_what_was_trained_on(workshop: "Workshop", tmp_path: Path) -> None:
    """Each file with its hash, or why it has none: that is an event, too, and no reason not to publish."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    note([str(tmp_path / "a.json"), str(tmp_path / "b.json")], workshop.job_dir)
    (tmp_path / "b.json").unlink()
    run = small_run(workshop.job_dir.output).write()
    merge = MergePlan(source=run.source, destination=workshop.job_dir.merged)
    JobPlan(job=42, name="demo", merge=merge).publish(workshop.job_dir.plan)
    a, b = manifest_of_merge(workshop, 1).inputs
    assert (a.path, a.bytes, len(a.sha256 or ""), a.changed) == (str(tmp_path / "a.json"), 2, 64, "")
    assert (b.path, b.sha256) == (str(tmp_path / "b.json"), None)
    assert "not there any more" in b.changed
    events = [json.loads(line) for line in workshop.job_dir.events.read_text().splitlines()]
    assert [event["path"] for event in events if event["event"] == "input_changed"] == [str(tmp_path / "b.json")]


def test_a_merge_of_a_foreign_tree_keeps_which(workshop: "Workshop") -> None:
    """Of one tree the higher tag is the newer."""
    workshop.publish(None)
    small_run(workshop.job_dir.output).write()
    assert manifest_of_merge(workshop, 1).origin == Origin(job=42, tree=str(workshop.job_dir.output))


STAND_IN = """
import sys, time, types
import handlers.merging
merge = types.ModuleType("handlers.merging.merge")
exec(sys.argv[1], merge.__dict__)
sys.modules["handlers.merging.merge"] = handlers.merging.merge = merge
from handlers.shim.run import main
sys.exit(main(sys.argv[2:]))
"""


def start_merge(workshop: "Workshop", code: str) -> subprocess.Popen[str]:
    """Start a merge step whose merge is `code`: what takes long or breaks at will."""
    workshop.publish(None)
    command = [sys.executable, "-c", STAND_IN, code, str(workshop.job_dir.path), "1", "merge"]
    return subprocess.Popen(command, env=workshop.environment, stderr=subprocess.PIPE, text=True)


def test_merge_is_cancelled_and_cleans_up(workshop: "Workshop", tmp_path: Path) -> None:
    """TERM unwinds the merge, so that it removes what it had begun."""
    begun = tmp_path / "begun"
    code = f"""
import time
from pathlib import Path
def run(plan, progress, report, *_):
    begun = Path({str(begun)!r})
    begun.touch()
    try:
        time.sleep(600)
    finally:
        begun.unlink()
"""
    shim = start_merge(workshop, code)
    workshop.eventually(begun.exists, "the merge runs")
    shim.terminate()
    assert finish(shim)[0] == 1
    assert not begun.exists()
    assert (ended(workshop, Step.MERGE).outcome, ended(workshop, Step.MERGE).reason) == (
        Outcome.CANCELLED,
        "stopped by SIGTERM",
    )


def test_defect_is_recorded(workshop: "Workshop") -> None:
    """An unexpected exception is a failure with its text as reason, and its traceback among the events."""
    assert finish(start_merge(workshop, "def run(plan, progress, report, *_): 1 / 0"))[0] == 1
    end = ended(workshop, Step.MERGE)
    assert end.outcome is Outcome.FAILED
    assert end.reason.startswith("unexpected ZeroDivisionError: division by zero")
    broke = next(event for event in events_of(workshop) if event["event"] == "shim_broke")
    assert "ZeroDivisionError: division by zero" in str(broke["exception"])


def test_undecodable_reason_is_recorded(workshop: "Workshop") -> None:
    """A file name that is no UTF-8, with control characters, does not keep exit.json from being written."""
    code = "def run(plan, progress, report, *_): raise OSError('\\udcff\\x1b[31m: no space left')"
    assert finish(start_merge(workshop, code))[0] == 1
    assert ended(workshop, Step.MERGE).reason == "\\udcff\\x1b[31m: no space left"


def test_systemd_instance(workshop: "Workshop", tmp_path: Path) -> None:
    """The unit's instance name finds the job's directory."""
    workshop.publish(workshop.train("pass"))
    command = [sys.executable, "-m", "handlers.shim", "--root", str(tmp_path), "--instance", "0042-1-train"]
    assert subprocess.run(command, env=workshop.environment, check=False, timeout=60).returncode == 0
    assert ended(workshop).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    "arguments",
    (
        ("--root", ".", "--instance", "0007-1-train"),
        ("--root", ".", "--instance", "0042-1-eat"),
        ("--root", ".", "--instance", "../0042-1-train"),
        ("--root", "."),
        ("no-such-directory", "1", "train"),
        ("jobs/0042-demo", "1"),
        ("jobs/0042-demo", "one", "train"),
        ("jobs/0042-demo", "1", "eat"),
        (),
    ),
)
def test_bad_usage(workshop: "Workshop", tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What names no step is refused, and nothing is written."""
    before = sorted(tmp_path.rglob("*"))
    command = [sys.executable, "-m", "handlers.shim", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=workshop.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_full_disk_under_the_log_does_not_end_the_training(workshop: "Workshop") -> None:
    """Supervision goes on when its own stderr cannot be written."""
    workshop.publish(workshop.train("pass"))
    command = [sys.executable, "-m", "handlers.shim", str(workshop.job_dir.path), "1", "train"]
    with Path("/dev/full").open("wb") as full:
        assert subprocess.run(command, env=workshop.environment, stderr=full, check=False, timeout=60).returncode == 0
    assert workshop.job_dir.events.stat().st_size > 0


def test_a_plan_of_before_an_upgrade_runs(workshop: "Workshop") -> None:
    """Its environments are in plan.json itself, and no other file is there."""
    workshop.publish(workshop.train("print(os.environ['OF_BEFORE'])"))
    plan = json.loads(workshop.job_dir.plan.read_text())
    plan["train"]["processes"][0]["environment"] = {**workshop.environment, "OF_BEFORE": "as it was"}
    workshop.job_dir.plan.write_text(json.dumps(plan))
    workshop.job_dir.step(1, Step.TRAIN).environment.unlink()
    assert finish(start(workshop))[0] == 0
    assert workshop.log(0) == "as it was\n"


def test_without_its_environments_nothing_is_started(workshop: "Workshop") -> None:
    """The step fails and names the file; damaged ones are not quoted, for they may hold secrets."""
    workshop.publish(workshop.train("pass"))
    path = workshop.job_dir.step(1, Step.TRAIN).environment
    path.write_text('{"processes": [{"HF_TOKEN": ["hf_secret"]}]}')
    assert finish(start(workshop))[0] == 1
    assert ended(workshop).reason.startswith(f"{path}: not the environments of this plan's processes")
    assert "hf_secret" not in workshop.job_dir.events.read_text()


def test_the_end_of_a_step_has_a_code(workshop: "Workshop") -> None:
    """The same in exit.json and in the event."""
    workshop.publish(workshop.train("pass", "raise KeyError('prefix')"))
    assert finish(start(workshop))[0] == 1
    assert ended(workshop).code == "rank.python-error"
    assert events_of(workshop)[-1]["code"] == "rank.python-error"


def test_a_merge_that_was_refused_has_the_code_of_its_error(workshop: "Workshop") -> None:
    """That of the library's exception."""
    workshop.publish(workshop.train("pass"))
    assert finish(start(workshop, Step.MERGE))[0] == 1
    assert ended(workshop, Step.MERGE).code == "merge.no-strategy"
