"""An evaluation under its shim: one program, its time limit, and what it tells."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handlers.gate.evaluation import Evaluation, publish_plan
from handlers.records.job_dir import Step, StepDir
from handlers.records.process import ProcessIdentity
from handlers.records.step_exit import Outcome, StepExit
from tests.unit.handlers.shim.test_run import finish, start

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop


def plan(workshop: "Workshop", text: str, *, timeout: float = 60.0, **environment: str) -> StepDir:
    """Plan an evaluation that is this program; return where its records are."""
    workshop.publish(None)
    records = workshop.job_dir.step(1, Step.EVALUATE)
    publish_plan(
        Evaluation(
            name="bleu",
            command=(sys.executable, "-c", text),
            records=records,
            merged=workshop.job_dir.merged,
            champion=Path("/var/glm/champion"),
            environment={**os.environ, **environment},
            devices=(3, 5),
            timeout=timeout,
            grace=0.5,
        )
    )
    return records


def ended(workshop: "Workshop") -> StepExit:
    """Run it, and return how it ended."""
    assert finish(start(workshop, Step.EVALUATE))[0] in {0, 1}
    return StepExit.read(workshop.job_dir.step(1, Step.EVALUATE).exit)


def test_it_tells_numbers(workshop: "Workshop") -> None:
    """They are in exit.json; what it printed is kept, what it complained of apart from that."""
    records = plan(workshop, "import sys; print('x'); print('{\"bleu\": 0.25}'); print('y', file=sys.stderr)")
    exit_ = ended(workshop)
    assert (exit_.outcome, exit_.metrics, exit_.reason) == (
        Outcome.COMPLETED,
        {"bleu": 0.25},
        "evaluation bleu: bleu 0.25",
    )
    assert records.stdout.read_text() == 'x\n{"bleu": 0.25}\n'
    assert records.stderr.read_text() == "y\n"


def test_it_finds_what_to_measure_in_its_environment(workshop: "Workshop") -> None:
    """And its devices; a secret of that is for glmd's user alone."""
    names = "GLMD_MERGED", "GLMD_CHAMPION", "ASCEND_RT_VISIBLE_DEVICES", "HIDDEN"
    text = f"import json, os, sys; json.dump([os.environ[n] for n in {names}], sys.stderr); print('{{}}'); os.stat('.')"
    records = plan(workshop, text, HIDDEN="secret", GLMD_MERGED="/elsewhere")
    assert ended(workshop).outcome is Outcome.COMPLETED
    merged = str(workshop.job_dir.merged)
    assert json.loads(records.stderr.read_text()) == [merged, "/var/glm/champion", "3,5", "secret"]
    assert records.environment.stat().st_mode & 0o777 == 0o600
    assert "secret" not in records.plan.read_text()


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        ("raise ValueError('no such data')", "it exited 1: ValueError: no such data"),
        ("import sys; sys.exit(3)", "it exited 3: nothing"),
        ("import os; os.kill(os.getpid(), 11)", "it was killed by SIGSEGV: nothing"),
        ("print('done')", "its last line is no JSON"),
        ("print('{\"bleu\": Infinity}')", "Infinity is no number"),
    ),
)  # fmt: skip
def test_what_tells_none_has_failed(workshop: "Workshop", text: str, reason: str) -> None:
    """The reason quotes its last words."""
    plan(workshop, text)
    exit_ = ended(workshop)
    assert (exit_.outcome, exit_.code, exit_.metrics) == (Outcome.FAILED, "gate.evaluation", None)
    assert reason in exit_.reason


def test_a_program_that_is_not_there(workshop: "Workshop") -> None:
    """That is no defect of glmd's."""
    records = plan(workshop, "")
    record = json.loads(records.plan.read_text())
    records.plan.write_text(json.dumps({**record, "argv": ["/nowhere/bleu"]}))
    exit_ = ended(workshop)
    assert (exit_.outcome, exit_.code) == (Outcome.FAILED, "gate.evaluation")
    assert "could not be started" in exit_.reason
    assert "/nowhere/bleu" in exit_.reason


def test_past_its_time_it_is_ended_with_all_that_it_started(workshop: "Workshop") -> None:
    """Deaf to TERM, in a session of its own, and busy printing: nothing is left."""
    text = (
        "import signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sh', '-c', 'trap \"\" TERM; while :; do sleep 1; done'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "while True: print('{}', flush=True); time.sleep(0.1)\n"
    )
    records = plan(workshop, text, timeout=1.0)
    exit_ = ended(workshop)
    assert (exit_.outcome, exit_.survivors, exit_.limit) == (Outcome.TIMED_OUT, (), "total")
    assert exit_.reason.startswith("not finished after 1 s (timeout)")
    child = int(records.stdout.read_text().splitlines()[0])
    with pytest.raises(ProcessLookupError):
        ProcessIdentity.of(child)


def test_told_to_end_it_ends(workshop: "Workshop") -> None:
    """As `glmd cancel` and a host that goes down tell it."""
    records = plan(workshop, "import time; print('here', flush=True); time.sleep(600)")
    shim = start(workshop, Step.EVALUATE)
    deadline = time.monotonic() + 60
    while not records.stdout.exists() or not records.stdout.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    shim.send_signal(signal.SIGTERM)
    assert finish(shim)[0] == 1
    exit_ = StepExit.read(records.exit)
    assert (exit_.outcome, exit_.reason) == (Outcome.CANCELLED, "stopped by SIGTERM")


@pytest.mark.parametrize("name", ("plan.json", "environment.json"))
@pytest.mark.parametrize("content", (None, "{", '{"argv": []}', '{"processes": []}'))
def test_without_a_plan_nothing_is_run(workshop: "Workshop", name: str, content: str | None) -> None:
    """Whoever has touched it: what it says is not run in part."""
    records = plan(workshop, "open('/tmp/never', 'x')")
    path = records.path / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    exit_ = ended(workshop)
    assert exit_.outcome is Outcome.FAILED
    assert exit_.code in {"shim.plan", "host.not-there"}
    assert not records.stdout.exists()
