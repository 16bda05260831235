"""The daemon may die at any moment: what it began goes on, nothing is begun twice, and nobody else is harmed."""

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.core.states import State
from daemon.core.store import Store
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import StepExit
from tests.acceptance.house import CONFIG, House

EPOCHS = 31
"""Of the stand-in."""

# An hccn_tool that waits for the gate, so that a job stays in preparing. The look-up's time-out then ends it.
SLOW_HCCN_TOOL = """\
#!{python} -SE
import sys, time
from pathlib import Path
Path({held!r}).touch()
while not Path({gate!r}).exists():
    time.sleep(0.02)
print("ipaddr:192.168.100.10" + sys.argv[2])
"""

# A sitecustomize.py that makes the shim of a merge wait for the gate, with its shim.json written.
SLOW_MERGE = """\
import sys
if "handlers.shim" in sys.orig_argv and "merge" in sys.orig_argv:
    import time
    from pathlib import Path
    import handlers.merging.merge
    run = handlers.merging.merge.run
    def wait(*arguments):
        Path({held!r}).touch()
        while not Path({gate!r}).exists():
            time.sleep(0.02)
        return run(*arguments)
    handlers.merging.merge.run = wait
"""


def hold_preparing(house: House, held: Path) -> None:
    """Let the job wait while its rank table is made."""
    tool = house.data / "hccn_tool"
    tool.write_text(SLOW_HCCN_TOOL.format(python=sys.executable, held=str(held), gate=str(house.gate)))
    tool.chmod(0o755)
    house.settings["rank_table"] = {"server_ip": "192.168.1.196", "hccn_tool": str(tool)}


def hold_training(house: House, held: Path) -> None:
    """Let the ranks wait before their last step."""
    del held
    house.environment(STANDIN_GATE=str(house.gate))


def hold_merging(house: House, held: Path) -> None:
    """Let the merge wait before it begins."""
    (house.data / "sitecustomize.py").write_text(SLOW_MERGE.format(held=str(held), gate=str(house.gate)))
    house.daemon_environment["PYTHONPATH"] = str(house.data)


def started_ranks(house: House) -> dict[int, int]:
    """Return the ranks that were ever started, with their pids; fail when one was started twice."""
    events = [json.loads(line) for line in house.directory().events.read_text().splitlines()]
    started = [(event["rank"], event["pid"]) for event in events if event["event"] == "process_started"]
    assert len(started) == len(dict(started)), f"started twice: {started}"
    return dict(started)


@pytest.mark.parametrize(
    ("hold", "state"),
    ((hold_preparing, State.PREPARING), (hold_training, State.TRAINING), (hold_merging, State.MERGING)),
)
def test_a_daemon_killed_in_any_state_goes_on_where_it_was(
    house: House, tmp_path: Path, hold: Callable[[House, Path], None], state: State
) -> None:
    """By kill -9, twice: one attempt, each rank started once and its exit known, its log without gap, one output."""
    held = tmp_path / "held"
    hold(house, held)
    house.start().drop()
    house.until(state)
    if state is State.TRAINING:
        house.wait(lambda: len(started_ranks(house)) == 2, "two ranks")
    else:
        house.wait(held.exists, f"{state} to be held")
    for _ in range(2):
        house.stop(signal.SIGKILL)
        house.start()
        assert house.job().state is state
    house.gate.touch()
    job = house.until(State.DONE)
    assert job.attempt == 1
    ranks = started_ranks(house)
    end = StepExit.read(house.directory().step(1, Step.TRAIN).exit)
    assert {exit_.rank: (exit_.pid, exit_.exit_code) for exit_ in end.processes} == {
        rank: (pid, 0) for rank, pid in ranks.items()
    }
    for rank in (0, 1):
        epochs = re.findall(r"Epoch:\[ *(\d+)/", house.directory().rank_log(rank).read_text())
        assert epochs == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    assert sorted(path.name for path in house.directory().merged.iterdir()) == [
        "filtered_transformed.ckpt",
        "manifest.json",
    ]


def test_a_daemon_killed_while_it_claims_loses_no_file_and_takes_none_twice(house: House) -> None:
    """Killed amid a heap of files, and again: each becomes one job, and none is left behind."""
    house.environment(STANDIN_GATE=str(house.gate))
    names = [f"run_{number}" for number in range(30)]
    (house.root / "inbox").mkdir()
    for name in names:
        house.drop(f"{name}.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + f"# {name}\n")
    for more in (1, 10):
        house.start()
        house.wait(lambda more=more: len(house.jobs()) >= more, f"{more} jobs")  # type: ignore[misc]
        house.stop(signal.SIGKILL)
    house.start()
    house.wait(lambda: len(house.jobs()) == len(names), "all files to be taken")
    house.wait(lambda: not any((house.root / "claims").iterdir()), "all claims to be finished")
    assert sorted(job.name for job in house.jobs()) == sorted(names)
    assert not any(job.state is State.REJECTED for job in house.jobs())
    assert not any((house.root / "inbox").iterdir())
    for job in house.jobs():
        assert f"# {job.name}\n" in job.directory(house.root).submitted.read_text()


def test_a_daemon_that_is_stopped_misses_nothing(house: House) -> None:
    """SIGSTOP for the whole rest of a training, SIGCONT: its end is seen. No other daemon takes over meanwhile."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    house.wait(lambda: len(started_ranks(house)) == 2, "two ranks")
    house.send(signal.SIGSTOP)
    house.gate.touch()
    house.wait(house.directory().step(1, Step.TRAIN).exit.exists, "exit.json")
    assert house.run("serve", "--allow-root").returncode == 3
    house.send(signal.SIGCONT)
    assert house.until(State.DONE).attempt == 1
    started_ranks(house)


def test_a_stopped_daemon_that_is_killed_is_followed_by_one_that_adopts(house: House) -> None:
    """As a watchdog does it: the daemon hangs, is killed, and started anew; its ranks do not notice."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    house.wait(lambda: len(started_ranks(house)) == 2, "two ranks")
    ranks = [ProcessIdentity.of(pid) for pid in started_ranks(house).values()]
    house.send(signal.SIGSTOP)
    house.stop(signal.SIGKILL)
    house.start()
    assert all(rank.alive() for rank in ranks)
    house.gate.touch()
    assert house.until(State.DONE).attempt == 1
    started_ranks(house)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's process, which any signal would end."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("record", ("recycled pid", "earlier boot"))
def test_nobody_is_signalled_for_a_record_that_is_not_his(
    house: House, bystander: subprocess.Popen[bytes], record: str
) -> None:
    """shim.json has a pid that is another process's by now: even a job to be cancelled does not touch that one."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    shim = house.shim()
    house.stop(signal.SIGKILL)
    shim.signal(signal.SIGKILL)
    house.wait(lambda: not shim.alive(), "the shim to be gone")
    path = house.directory().step(1, Step.TRAIN).shim
    him = ProcessIdentity.of(bystander.pid)
    false = {"start_time": him.start_time - 1} if record == "recycled pid" else {"boot_id": "0" * 36}
    honest = {"pid": him.pid, "start_time": him.start_time, "boot_id": him.boot_id}
    ShimRecord.read(path).model_copy(update=honest | false).publish(path)
    with contextlib.closing(Store.open(house.root / "glmd.db")) as store:
        store.ask_to_cancel(store.job(1))
    house.start()
    house.wait(lambda: house.job().state.is_over, "the job to be over")
    assert house.job().state in {State.CANCELLED, State.FAILED}
    assert bystander.poll() is None
