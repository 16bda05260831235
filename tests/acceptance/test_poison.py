"""One bad thing harms only itself: the daemon goes on, others go on, and a restart does not bring it back."""

import json
import os
import random
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.control import ask
from daemon.states import State
from handlers.job_dir import Step
from tests.acceptance.house import CONFIG, House


def change(house: House, statement: str, *values: object) -> None:
    """Change the store behind the daemon's back."""
    with closing(sqlite3.connect(house.root / "glmd.db", timeout=30)) as store, store:
        store.execute(statement, values)


def others_go_on(house: House, name: str) -> None:
    """Look that a bad file is rejected still: all that a drop needs works."""
    house.drop(name, text="seed: [")
    reason = house.root / "rejected" / f"{name}.reason.txt"
    house.wait(reason.exists, f"{name} to be rejected")
    assert house.is_up


def and_after_a_restart(house: House) -> None:
    """Kill the daemon and start another, which has to go on as well."""
    others_go_on(house, "before.yaml")
    house.stop(signal.SIGKILL)
    house.start()
    others_go_on(house, "after.yaml")


@pytest.mark.parametrize("priority", (1 << 63, -(1 << 63) - 1))
def test_a_priority_that_no_table_takes(house: House, priority: int) -> None:
    """It is rejected with line and column."""
    house.start()
    house.drop("bad.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + f"  priority: {priority}\n")
    reason = house.root / "rejected" / "bad.yaml.reason.txt"
    house.wait(reason.exists, "the file to be rejected")
    assert f"glmd.priority: {priority} does not fit" in reason.read_text()
    and_after_a_restart(house)


@pytest.mark.parametrize(
    ("column", "value"),
    (
        ("attempt", 1 << 62),
        ("attempt", -1),
        ("devices", "["),
        ("devices", "[" * 60_000),
        ("devices", '["x"]'),
        ("devices", f"[{1 << 70}]"),
        ("state", "nowhere"),
        ("submitted", "yesterday"),
        ("changed", "2026-01-01T00:00:00"),
        ("name", "../../x"),
    ),
)
def test_a_row_that_says_nothing(house: House, column: str, value: object) -> None:
    """It is left alone, and told in the headline."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    house.drop("run.yaml")
    house.until(State.TRAINING)
    change(house, f"UPDATE jobs SET {column} = ?", value)  # noqa: S608 - ours
    and_after_a_restart(house)
    assert "job 1: its row in the store cannot be read" in ask(house.root, "ping")
    change(house, "UPDATE jobs SET state = 'failed', attempt = 1, devices = '[]', name = 'run'")


def test_a_claim_that_no_row_can_be_made_of(house: House) -> None:
    """It is rejected with the traceback in its reason, once: nothing of it is left for the next daemon."""
    house.start()
    change(house, "CREATE TRIGGER no BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'poisoned'); END")
    house.drop("run.yaml")
    reason = house.root / "rejected" / "run.yaml.reason.txt"
    house.wait(reason.exists, "the file to be rejected")
    assert "glmd.defect" in reason.read_text()
    assert "Traceback" in reason.read_text()
    house.wait(lambda: not any((house.root / "claims").iterdir()), "the claim to be gone")
    change(house, "DROP TRIGGER no")
    and_after_a_restart(house)


def test_a_job_that_cannot_be_moved(house: House) -> None:
    """It is failed with its traceback beside it; its ranks keep the devices as long as their shim lives."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    house.drop("run.yaml")
    house.until(State.TRAINING)
    shim = house.shim()
    path = house.directory().step(1, Step.TRAIN).path / "lock"
    change(house, "CREATE TRIGGER no BEFORE UPDATE ON jobs WHEN NEW.state = 'merging' "
                  "BEGIN SELECT RAISE(ABORT, 'poisoned'); END")  # fmt: skip
    house.gate.touch()
    failed = house.until(State.FAILED)
    assert "glmd.defect" in failed.reason
    assert "poisoned" in house.directory().defect.read_text()
    assert not shim.alive() or path.exists()
    change(house, "DROP TRIGGER no")
    and_after_a_restart(house)


@pytest.mark.parametrize("due", ("yesterday", "2026-01-01T00:00:00"))
def test_a_night_that_cannot_be_counted(house: House, due: str) -> None:
    """It is left alone and told; others go on."""
    template = house.data / "night.yaml"
    template.write_text(CONFIG.format(data=house.data, devices="[0,2)"))
    house.settings["nightly"] = [{"name": "night", "cron": "0 2 * * *", "template": str(template)}]
    house.start()
    house.stop()
    change(house, "INSERT OR REPLACE INTO nightly (name, due, cron) VALUES ('night', ?, '0 2 * * *')", due)
    house.start()
    house.wait(lambda: "nightly night: glmd.defect" in house.log.read_text(), "the defect to be told")
    and_after_a_restart(house)


RECORDS: tuple[Callable[[Path], object], ...] = (
    lambda path: path.write_text(json.dumps({"pid": 1 << 70, "start_time": 1, "boot_id": "b", "started": "x"})),
    lambda path: path.write_bytes(b"[" * 100_000),
    lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    lambda path: path.mkdir(),
)


@pytest.mark.parametrize("spoil", RECORDS)
@pytest.mark.parametrize("name", ("shim.json", "exit.json"))
def test_a_record_that_says_nothing(house: House, name: str, spoil: Callable[[Path], object]) -> None:
    """It harms its own job alone."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    house.drop("run.yaml")
    house.until(State.TRAINING)
    shim = house.shim()
    path = house.directory().step(1, Step.TRAIN).path / name
    path.unlink(missing_ok=True)
    spoil(path)
    and_after_a_restart(house)
    shim.signal(signal.SIGTERM)
    house.wait(lambda: not shim.alive(), "the shim to end")
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)


def test_absurd_values(house: House) -> None:
    """Drops, requests, settings and rows drawn by chance, from a seed: the daemon goes on."""
    chance = random.Random(10)  # noqa: S311 - no secret
    numbers = (0, -1, 1 << 31, 1 << 63, -(1 << 63) - 1, 10**90, True, 1.5, float("inf"), "x", None, [1], "\ud800")
    house.start()
    for turn in range(40):
        key = chance.choice(("priority", "devices", "resume", "timeout", "merge", "continue_from"))
        value = chance.choice((*numbers, {"attempts": chance.choice(numbers)}, {"silence": chance.choice(numbers)}))
        text = CONFIG.format(data=house.data, devices="[8,9)").replace(
            "glmd:\n", f"glmd:\n  {key}: {json.dumps(value)}\n"
        )
        house.drop(f"absurd-{turn}.yaml", text=text)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(30)
            client.connect(str(house.root / "glmd.sock"))
            request = {
                "action": chance.choice(("cancel", "retry", "reload", "ping", "x")),
                "job": chance.choice(numbers),
            }
            client.send(json.dumps(request).encode())
            assert json.loads(client.recv(1 << 16)).keys() == {"ok", "answer"}
        settings = {**house.settings, "inbox": {"settle": chance.choice(numbers), "rescan": chance.choice(numbers)}}
        (house.root / "glmd.yaml").write_text(json.dumps(settings))
    house.wait(lambda: len(list((house.root / "rejected").glob("absurd-*.reason.txt"))) == 40, "all to be rejected")
    and_after_a_restart(house)
