"""A real daemon, and programs that measure what it has merged: each way in which they end."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.gate.verdict import Rule, Verdict
from handlers.records.job_dir import Step
from handlers.records.step_exit import Outcome, StepExit
from tests.acceptance.house import CONFIG, House

GOOD = """\
import json, os, pathlib, sys
merged = pathlib.Path(os.environ["GLMD_MERGED"])
print("seen", sorted(path.suffix for path in merged.iterdir()))
print("to standard error", file=sys.stderr)
print(json.dumps({"bleu": 0.31, "files": len(list(merged.iterdir()))}))
"""


@pytest.fixture
def judged(house: House) -> House:
    """Return a house whose gate asks for an evaluation, to be written by `write`."""
    house.settings["gate"] = {"evaluate": "bleu", "metrics": {"bleu": {"min": 0.3}}}
    house.settings["evaluations"] = {"bleu": {"command": [sys.executable, str(program(house))], "timeout": 60}}
    return house


def program(house: House) -> Path:
    """Return where the evaluation's program is."""
    return house.data / "evaluate.py"


def write(house: House, text: str) -> None:
    """Let the evaluation be this program."""
    program(house).write_text(text)


def verdict(house: House, number: int = 1) -> Verdict:
    """Return what the gate found, once the job is done."""
    house.until(State.DONE, number)
    return Verdict.read(house.directory(number).verdict)


def rule(found: Verdict, name: str) -> Rule:
    """Return one rule of it."""
    return next(one for one in found.rules if one.name == name)


def held(house: House) -> str:
    """Return a program that says that it runs, and then waits until the test lets it go on."""
    return f"""\
import pathlib, time
pathlib.Path({str(house.data / "begun")!r}).touch()
while not pathlib.Path({str(house.gate)!r}).exists():
    time.sleep(0.02)
print('{{"bleu": 0.5}}')
"""


def begun(house: House) -> None:
    """Wait until that program runs."""
    house.wait((house.data / "begun").exists, "the evaluation")


def test_what_it_measures_is_in_the_verdict_and_its_words_are_kept(judged: House) -> None:
    """It finds the merged files by its environment; each rule has its value and its limit."""
    write(judged, GOOD)
    judged.start().drop()
    found = verdict(judged)
    assert found.passed
    assert (found.evaluation, found.metrics["bleu"]) == ("bleu", 0.31)
    assert (rule(found, "metrics.bleu.min").value, rule(found, "metrics.bleu.min").limit) == (0.31, 0.3)
    assert {one.name: one.passed for one in found.rules} == {
        "whole": True, "finite": True, "evaluate": True, "metrics.bleu.min": True
    }  # fmt: skip
    records = judged.directory().step(1, Step.EVALUATE)
    assert "seen ['.ckpt', '.json']" in records.stdout.read_text()
    assert records.stderr.read_text() == "to standard error\n"
    assert [step.state for step in _history(judged)][-3:] == [State.MERGING, State.EVALUATING, State.DONE]


@pytest.mark.parametrize(
    ("text", "told"),
    (
        ("raise ValueError('no such data')", "exited 1: ValueError: no such data"),
        ("print('bleu is 0.31')", "no JSON"),
        ("print('{\"rouge\": 0.31}')", "does not report bleu"),
        ("print('{\"bleu\": 0.2}')", "bleu 0.2 is below 0.3"),
    ),
    ids=("fails", "garbage", "other", "low"),
)
def test_a_job_is_done_whatever_its_evaluation_comes_to(judged: House, text: str, told: str) -> None:
    """The output is kept, and the verdict says why it is not good enough."""
    write(judged, text)
    judged.start().drop()
    found = verdict(judged)
    assert not found.passed
    assert told in found.reason
    assert found.code in {"gate.evaluation", "gate.metric"}
    assert (judged.directory().merged / "manifest.json").exists()


def test_a_program_that_hangs_is_ended_with_its_children(judged: House) -> None:
    """One that is deaf to TERM is killed; nothing is left of it."""
    write(
        judged,
        "import signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 600; sleep 600'], start_new_session=True)\n"
        "time.sleep(600)\n",
    )
    judged.settings["evaluations"]["bleu"]["timeout"] = 1  # type: ignore[index] # a mapping, see above
    judged.start().drop()
    found = verdict(judged)
    assert "not finished after 1 s" in found.reason
    exit_ = StepExit.read(judged.directory().step(1, Step.EVALUATE).exit)
    assert (exit_.outcome, exit_.survivors) == (Outcome.TIMED_OUT, ())
    assert not judged.processes()


def test_a_child_that_outlives_the_program_is_ended(judged: House) -> None:
    """The metrics count, and nobody is left to touch what is published."""
    write(
        judged,
        "import subprocess\n"
        "subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=subprocess.DEVNULL)\n"
        "print('{\"bleu\": 0.4}')\n",
    )
    judged.start().drop()
    assert verdict(judged).passed
    assert not judged.processes()


def test_what_a_dropped_file_says_is_never_run(judged: House) -> None:
    """A command in it is refused at the check; so is a gate that is looser than the settings'."""
    write(judged, GOOD)
    judged.start()
    for number, (text, told) in enumerate(
        (
            ("  gate: {evaluate: {command: [touch, /tmp/x]}}\n", "gate.evaluate"),
            ("  evaluations: {bleu: {command: [touch, /tmp/x]}}\n", "evaluations: is not a key"),
            ("  gate: {evaluate: other}\n", "'other' is no evaluation"),
            ("  gate: {metrics: {bleu: {min: 0.2}}}\n", "0.2 is looser than the settings' 0.3"),
            ("  gate: {finite: false}\n", "false is looser than true"),
        ),
        1,
    ):
        judged.drop(f"run{number}.yaml", text=CONFIG.format(data=judged.data, devices="[0,2)") + text)
        reason = judged.root / "rejected" / f"run{number}.yaml.reason.txt"
        judged.wait(reason.exists, str(reason))
        assert told in reason.read_text()


def test_a_file_can_ask_for_more(judged: House) -> None:
    """Its own limit holds beside that of the settings."""
    write(judged, GOOD)
    text = CONFIG.format(data=judged.data, devices="[0,2)") + "  gate: {metrics: {bleu: {min: 0.32}}}\n"
    judged.start().drop(text=text)
    assert verdict(judged).reason == "bleu 0.31 is below 0.32"


@pytest.mark.parametrize("kills_shim", (False, True))
def test_it_goes_on_while_the_daemon_is_away(judged: House, *, kills_shim: bool) -> None:
    """A new daemon adopts it; where its shim is killed with it, its program is gone, and is begun again."""
    write(judged, held(judged))
    judged.start().drop()
    begun(judged)
    shim = judged.shim(step=Step.EVALUATE)
    judged.stop(signal.SIGKILL)
    if kills_shim:
        os.kill(shim.pid, signal.SIGKILL)
        judged.wait(lambda: not shim.alive(), "the shim's end")
    judged.start()
    judged.gate.touch()
    assert verdict(judged).passed
    assert not judged.processes()
    assert judged.job().attempt == (2 if kills_shim else 1)


def test_a_program_that_has_its_shim_killed_does_not_pass(judged: House) -> None:
    """Its memory may be what the kernel kills for: after three times it has failed, and the job is done."""
    write(judged, "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    judged.start().drop()
    found = verdict(judged)
    assert "ended without a record" in found.reason
    assert (found.code, judged.job().attempt) == ("gate.evaluation", 3)


def test_a_cancelled_one_ends_and_the_output_stays(judged: House) -> None:
    """It can be retried: merged again, which is quick, and evaluated."""
    write(judged, held(judged))
    judged.start().drop()
    begun(judged)
    assert judged.run("cancel", "1").returncode == 0
    job = judged.until(State.CANCELLED)
    assert "cancelled by" in job.reason
    assert not judged.processes()
    assert (judged.directory().merged / "manifest.json").exists()
    judged.gate.touch()
    assert judged.run("retry", "1").returncode == 0
    judged.wait(lambda: judged.job().state is State.DONE, "the retried job")
    assert verdict(judged).attempt == 2


def test_one_that_wants_devices_waits_for_them_like_a_job(judged: House) -> None:
    """It says whom it waits for, sees them in its environment, and nobody else gets them until it has ended."""
    judged.settings["evaluations"]["bleu"]["devices"] = "[4,6)"  # type: ignore[index] # as above
    write(
        judged,
        "import os\n"
        + held(judged).replace("print(", "assert os.environ['ASCEND_RT_VISIBLE_DEVICES'] == '4,5'\nprint("),
    )
    judged.environment(STANDIN_GATE=str(judged.gate))
    judged.start().drop("holder.yaml", devices="[5,6)", text=_data_parallel(judged, "[5,6)", 1))
    judged.until(State.TRAINING)
    judged.stop()
    judged.environment()
    judged.start().drop("run.yaml")
    judged.until(State.EVALUATING, 2)
    judged.wait(lambda: "held by job 1" in judged.job(2).reason, "the reason")
    assert judged.job(2).reason == "evaluation bleu waits for devices [4,6): held by job 1"
    assert judged.run("cancel", "1").returncode == 0
    begun(judged)
    assert _locks(judged) == {4: 2, 5: 2}
    judged.drop("behind.yaml", devices="[4,6)")
    judged.until_taken("behind.yaml")
    assert judged.job(3).state is State.QUEUED
    judged.gate.touch()
    assert verdict(judged, 2).passed
    judged.until(State.DONE, 3)
    assert _locks(judged) == {}


def test_one_that_waits_for_devices_can_be_cancelled(judged: House) -> None:
    """It has not begun, and never will; nothing stays locked."""
    judged.settings["evaluations"]["bleu"]["devices"] = "[2,3)"  # type: ignore[index] # as above
    write(judged, GOOD)
    judged.environment(STANDIN_GATE=str(judged.gate))
    judged.start().drop("holder.yaml", text=_data_parallel(judged, "[2,3)", 1))
    judged.until(State.TRAINING)
    judged.stop()
    judged.environment()
    judged.start().drop("run.yaml")
    judged.until(State.EVALUATING, 2)
    assert judged.run("cancel", "2").returncode == 0
    judged.until(State.CANCELLED, 2)
    assert _locks(judged) == {2: 1}


def test_after_a_reboot_it_is_evaluated_again(judged: House) -> None:
    """As a merge is merged again: nothing of the host's end was its own fault."""
    write(judged, held(judged))
    judged.start().drop()
    begun(judged)
    shim = judged.shim(step=Step.EVALUATE)
    judged.stop(signal.SIGKILL)
    os.kill(shim.pid, signal.SIGKILL)
    records = judged.directory().step(1, Step.EVALUATE)
    record = json.loads(records.shim.read_text())
    records.shim.write_text(json.dumps({**record, "boot_id": "another"}))
    judged.wait(lambda: not judged.processes(), "the end of all")
    judged.gate.touch()
    judged.start()
    assert verdict(judged).passed
    assert judged.job().attempt == 2


def _data_parallel(house: House, devices: str, ranks: int) -> str:
    text = CONFIG.format(data=house.data, devices=devices)
    return text.replace("data_parallel: 2", f"data_parallel: {ranks}")


def _history(house: House) -> list:  # type: ignore[type-arg] # of transitions
    from daemon.core.read_store import ReadStore  # noqa: PLC0415

    with ReadStore.open(house.root / "glmd.db") as store:
        return list(store.history(1))


def _locks(house: House) -> dict[int, int]:
    from daemon.core.read_store import ReadStore  # noqa: PLC0415

    with ReadStore.open(house.root / "glmd.db") as store:
        return store.locks()
