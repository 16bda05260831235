"""The daemon as its users meet it: real processes, real files, only the training itself is light."""

import json
import os
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from tests.acceptance.house import CONFIG, House

if TYPE_CHECKING:
    from pathlib import Path


def ranks_of(house: House) -> list[int]:
    """Return the pids of the ranks that train in `house`."""
    found = subprocess.run(
        ["pgrep", "-f", f"run_mindformer.py --config={house.root}/"], capture_output=True, text=True, check=False
    )
    return sorted(map(int, found.stdout.split()))


def test_a_dropped_yaml_becomes_a_merged_checkpoint(house: House) -> None:
    """The main job: every trace that DESIGN.md names is there, and the state says done."""
    house.start().drop()
    house.until(State.DONE)
    job = house.directory()
    assert job.path.name == "0001-run"
    assert job.submitted.read_text().endswith('devices: "[0,2)"\n')
    assert "glmd:" not in job.config.read_text()
    assert (job.path / "hccl_2p_01_192.168.1.196.json").is_file()
    assert sorted(path.name for path in job.merged.iterdir()) == ["filtered_transformed.ckpt", "manifest.json"]
    assert (house.root / "latest" / "glm-6b").resolve() == job.merged.resolve()
    assert list((house.root / "inbox").iterdir()) == list((house.root / "claims").iterdir()) == []
    events = [json.loads(line)["event"] for line in job.events.read_text().splitlines()]
    assert events[0] == "job_queued"
    queued = json.loads(job.events.read_text().splitlines()[0])
    assert queued["checked_against"] == "MindFormers 0.8 (training.mindformers)"
    assert all(json.loads(line)["job"] == 1 for line in job.events.read_text().splitlines())


def test_a_bad_yaml_is_rejected_with_its_reason_and_the_next_one_runs(house: House) -> None:
    """Bad input costs nobody anything but its own dropper a look at the reason."""
    house.start().drop("bad.yaml", text="run_mode: [finetune\n")
    house.until(State.REJECTED)
    house.wait((house.root / "rejected" / "bad.yaml").exists, "the rejected file")
    assert (house.root / "rejected" / "bad.yaml").read_text() == "run_mode: [finetune\n"
    assert "bad.yaml:" in (house.root / "rejected" / "bad.yaml.reason.txt").read_text()
    house.drop()
    house.until(State.DONE, 2)


@pytest.mark.parametrize("kind", ("empty", "binary", "huge", "not utf-8", "symlink", "fifo", "directory", "socket"))
def test_what_is_no_yaml_is_rejected_aloud(house: House, kind: str) -> None:
    """Whatever lands in the inbox, it ends in rejected/ with a reason, and the daemon goes on."""
    path: Path = house.root / "inbox" / "odd.yaml"
    house.start()
    match kind:
        case "empty":
            path.touch()
        case "binary":
            path.write_bytes(os.urandom(4096))
        case "huge":
            path.write_bytes(b"a: b\n" * 1_000_000)
        case "not utf-8":
            path.write_bytes("name: Größe\n".encode("latin-1"))
        case "symlink":
            path.symlink_to("/etc/passwd")
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(os.path.relpath(path))
    job = house.until(State.REJECTED)
    assert "odd.yaml" in job.reason
    house.wait(lambda: os.path.lexists(house.root / "rejected" / "odd.yaml"), "the rejected file")
    assert (house.root / "rejected" / "odd.yaml.reason.txt").read_text().strip()
    assert house.is_up


def test_the_same_file_dropped_twice_is_one_job(house: House) -> None:
    """The second drop is rejected with the first one's number while that one is not over."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    house.drop("again.yaml")
    assert "the same file as job 1" in house.until(State.REJECTED, 2).reason
    house.gate.touch()
    house.until(State.DONE)


def test_jobs_on_disjoint_devices_run_side_by_side_and_others_wait(house: House) -> None:
    """No two jobs share a device; the one that waits starts when its devices are free."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    for name, devices in (("one.yaml", "[0,2)"), ("two.yaml", "[2,4)"), ("three.yaml", "[1,3)")):
        house.drop(name, devices=devices)
        house.until_taken(name)
    house.until(State.TRAINING, 1)
    house.until(State.TRAINING, 2)
    assert house.job(3).state is State.QUEUED
    house.gate.touch()
    for number in (1, 2, 3):
        house.until(State.DONE, number)


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGKILL))
def test_a_restart_adopts_the_ranks_that_train(house: House, number: signal.Signals) -> None:
    """Whether stopped or killed, the daemon leaves its jobs running; the next one takes them over and merges."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    shim = house.shim()
    house.wait(lambda: len(ranks_of(house)) == 2, "two ranks")
    ranks = ranks_of(house)
    assert house.stop(number) == (0 if number == signal.SIGTERM else -9)
    assert ranks_of(house) == ranks
    house.start()
    assert shim.alive()
    assert ranks_of(house) == ranks
    house.gate.touch()
    job = house.until(State.DONE)
    assert job.attempt == 1


def test_a_training_that_ends_while_the_daemon_is_down_is_merged_later(house: House) -> None:
    """The shim's records say how it ended, whoever was there to see it."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    house.shim()
    house.stop(signal.SIGKILL)
    house.gate.touch()
    house.wait(house.directory().step(1, Step.TRAIN).exit.exists, "exit.json")
    house.start()
    house.until(State.DONE)


def test_a_failing_rank_is_named_and_the_others_are_ended(house: House) -> None:
    """The reason says which rank failed first and with what; nothing is left running; the daemon goes on."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_FAIL="1")
    house.start().drop()
    reason = house.until(State.FAILED).reason
    assert "rank 1" in reason
    assert "ValueError: loss is not a number" in reason
    house.wait(lambda: not ranks_of(house), "all ranks to end")
    assert "rank 1" in house.run("status", "1").stdout


def test_ranks_that_hang_at_connect_are_ended(house: House) -> None:
    """A job that does nothing for longer than its limit fails with that as its reason, and frees its devices."""
    house.environment(STANDIN_HANG="1")
    house.start().drop(text=CONFIG.format(data=house.data, devices="[0,2)") + "  timeout: {first_step: 2s}\n")
    assert "timeout.first_step" in house.until(State.FAILED).reason
    assert ranks_of(house) == []


def test_cancel_ends_the_ranks_and_retry_trains_again(house: House) -> None:
    """A cancelled job's devices are free, and it can be run again to its end."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    house.wait(lambda: len(ranks_of(house)) == 2, "two ranks")
    assert house.run("cancel", "1").returncode == 0
    house.until(State.CANCELLED)
    assert ranks_of(house) == []
    assert house.run("cancel", "1").returncode != 0
    house.gate.touch()
    assert house.run("retry", "1").returncode == 0
    assert house.until(State.DONE).attempt == 2


def test_ranks_that_somebody_else_ends_are_a_failure(house: House) -> None:
    """A shim told to end by a host's shutdown is not a job that a user cancelled."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    house.wait(lambda: len(ranks_of(house)) == 2, "two ranks")
    assert house.shim().signal(signal.SIGTERM)
    assert "SIGTERM" in house.until(State.FAILED).reason


def test_a_shim_that_is_killed_takes_its_ranks_along(house: House) -> None:
    """No rank is orphaned; the job says that its shim died."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    house.wait(lambda: len(ranks_of(house)) == 2, "two ranks")
    assert house.shim().signal(signal.SIGKILL)
    assert "ended without a record" in house.until(State.FAILED).reason
    house.wait(lambda: not ranks_of(house), "all ranks to end")


def test_an_interpreter_that_trains_nothing_is_a_failed_training(house: House) -> None:
    """Its exit code 0 is no training; the reason names it, and a retry trains again instead of merging nothing."""
    python = house.settings["training"]["python"]
    house.settings["training"]["python"] = "/bin/true"
    house.start().drop()
    reason = house.until(State.FAILED).reason
    assert "/bin/true" in reason
    assert "training.python" in reason
    house.stop()
    house.settings["training"]["python"] = python
    house.start()
    assert house.run("retry", "1").returncode == 0
    assert house.until(State.DONE).attempt == 2


def test_a_retry_after_a_failed_merge_does_not_train_again(house: House) -> None:
    """Replicas that differ are refused by name; once mended, the merge alone is done once more."""
    house.environment(STANDIN_DIFFER="1")
    house.start().drop()
    reason = house.until(State.FAILED).reason
    assert "lm_head.weight" in reason or "embedding_table" in reason
    assert "rank_1" in reason
    assert "data parallel" in reason
    assert not house.directory().merged.exists() or not list(house.directory().merged.iterdir())
    one, two = (house.directory().output / f"checkpoint/rank_{n}/glm-6b_rank_{n}-31_4.ckpt" for n in (0, 1))
    two.unlink()
    two.write_bytes(one.read_bytes())
    two.chmod(0o400)
    assert house.run("retry", "1").returncode == 0
    job = house.until(State.DONE)
    assert job.attempt == 2
    assert not house.directory().step(2, Step.TRAIN).path.exists()


def test_a_watched_tree_is_merged_when_its_last_shard_arrives(house: House) -> None:
    """Shards of a run that glmd did not start become a job of their own, once."""
    house.start().drop()
    house.until(State.DONE)
    house.stop()
    foreign = house.data / "fullft_output"
    foreign.mkdir()
    house.settings["watch"] = [{"path": str(foreign), "needs_strategy": False, "ranks": 2, "quiet": "0s"}]
    house.start()
    for rank in (0, 1):
        assert len(house.jobs()) == 1
        shutil.copytree(house.directory().output / f"checkpoint/rank_{rank}", foreign / f"checkpoint/rank_{rank}")
    house.until(State.DONE, 2)
    merged = [house.directory(number).merged / "filtered_transformed.ckpt" for number in (1, 2)]
    assert merged[0].read_bytes() == merged[1].read_bytes()
    house.stop()
    house.start()
    (house.root / "inbox" / "bad.yaml").write_text("")
    house.until(State.REJECTED, 3)  # had the tree been taken anew, it would be job 3


def test_a_yaml_dropped_while_the_daemon_was_down_is_taken(house: House) -> None:
    """What no event told of is found by looking."""
    house.start()
    house.stop()
    house.drop()
    house.start()
    house.until(State.DONE)


def test_a_second_daemon_of_a_root_is_refused(house: House) -> None:
    """Two daemons never serve one root."""
    house.start()
    second = house.run("serve", "--allow-root")
    assert second.returncode == 3
    assert str(house.pid) in second.stderr


def test_reload_takes_new_settings_and_refuses_wrong_ones(house: House) -> None:
    """A wrong settings file changes nothing, and the client is told why."""
    house.start()
    (house.root / "glmd.yaml").write_text("devices: nonsense\n")
    refused = house.run("reload")
    assert refused.returncode == 3
    assert "keeps its old settings" in refused.stderr
    house.settings |= {"devices": "[0,2)", "log": {"level": "error"}, "runner": "systemd"}
    (house.root / "glmd.yaml").write_text(json.dumps(house.settings))
    assert "`runner` will change only when glmd starts again" in house.run("reload").stdout
    logged = house.log.read_text()
    house.drop(devices="[2,4)")
    assert "devices" in house.until(State.REJECTED).reason
    house.drop("good.yaml")
    house.until(State.DONE, 2)
    assert house.log.read_text() == logged


def test_hup_reloads(house: House) -> None:
    """SIGHUP does what `glmd reload` does."""
    house.start()
    house.settings["devices"] = "[0,2)"
    (house.root / "glmd.yaml").write_text(json.dumps(house.settings))
    house.send(signal.SIGHUP)
    house.wait(lambda: "settings_read" in house.log.read_text(), "the reload")
    assert house.is_up


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    (
        ("python", "/nowhere/python", "training.python"),
        ("checkout", "/nowhere", "training.checkout"),
    ),
)
def test_a_missing_interpreter_or_checkout_fails_the_job_with_the_setting(
    house: House, setting: str, value: str, says: str
) -> None:
    """The job says which setting to mend, and its devices are free again."""
    house.training[setting] = value
    house.start().drop()
    assert says in house.until(State.FAILED).reason


def test_a_nightly_cycle_runs_by_itself(house: House) -> None:
    """A cycle's YAML comes into the inbox by the clock and goes the whole way."""
    template = house.data / "nightly.yaml"
    template.write_text(CONFIG.format(data=house.data, devices="[0,2)"))
    house.settings["nightly"] = [
        {"name": "glm", "cron": "* * * * *", "timezone": "UTC", "template": str(template), "continue_from": None}
    ]
    house.start()
    house.stop()
    import sqlite3  # noqa: PLC0415

    with sqlite3.connect(house.root / "glmd.db") as connection:
        connection.execute("UPDATE nightly SET due = '2026-01-01T00:00:00+00:00'")
    connection.close()
    house.start()
    job = house.until(State.DONE)
    assert job.name.startswith("glm-")
