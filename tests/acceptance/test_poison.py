"""One bad thing harms only itself: the daemon goes on, others go on, and a restart does not bring it back."""

import json
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from daemon.core.control import ask
from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity
from tests.acceptance.house import CONFIG, House
from tests.fuzz.fuzz_daemon import Fuzz, in_memory


@pytest.fixture
def house() -> Iterator[House]:
    """Return a house in memory: a hundred changes are not to wait for a disk."""
    with tempfile.TemporaryDirectory(dir=in_memory(), prefix="glmd-poison-") as place:
        house = House(Path(place))
        try:
            yield house
        finally:
            house.close()


def change(house: House, statement: str, *values: object) -> None:
    """Change the store behind the daemon's back."""
    with closing(sqlite3.connect(house.root / "glmd.db", timeout=30)) as store, store:
        store.execute(statement, values)


def until_rejected(house: House, name: str, text: str) -> str:
    """Drop a file and wait for the reason why it is rejected."""
    house.drop(name, text=text)
    reason = house.root / "rejected" / f"{name}.reason.txt"
    house.wait(reason.exists, f"{name} to be rejected")
    return reason.read_text()


def others_go_on(house: House, name: str) -> None:
    """Look that a bad file is rejected still: all that a drop needs works."""
    assert "seed" in until_rejected(house, name, "seed: [")
    assert house.is_up


def and_after_a_restart(house: House) -> None:
    """Kill the daemon and start another, which has to go on as well."""
    others_go_on(house, "before.yaml")
    house.stop(signal.SIGKILL)
    house.start()
    others_go_on(house, "after.yaml")


def headline(house: House) -> str:
    """Return what the daemon says; that it is asked makes it turn."""
    return ask(house.root, "ping")


BUSY = 5.0
"""Seconds without an answer that are a stall also where other tests have the CPUs; by hand the fuzzer allows one."""
ROWS = (
    ("attempt", 1 << 62),
    ("attempt", -1),
    ("devices", "["),
    ("devices", "[" * 60_000),
    ("devices", '["x"]'),
    ("devices", f"[{1 << 70}]"),
    ("state", "nowhere"),
    ("submitted", "yesterday"),
    ("changed", "2026-01-01T00:00:00"),
    ("name", "a\0b"),
    ("name", "../../x"),
)


def test_a_row_that_says_nothing(house: House) -> None:
    """It is left alone and told, also by `glmd status`; when somebody has mended it, its job goes on."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    house.drop("run.yaml")
    house.until(State.TRAINING)
    told = "job 1: its row in the store cannot be read"
    with closing(sqlite3.connect(house.root / "glmd.db")) as store:
        (before,) = store.execute("SELECT json_object('attempt', attempt, 'devices', devices, 'state', state, "
                                  "'submitted', submitted, 'changed', changed, 'name', name) FROM jobs")  # fmt: skip
    whole = json.loads(before[0])
    for column, value in ROWS:
        change(house, f"UPDATE jobs SET {column} = ?", value)  # noqa: S608 - ours
        house.wait(lambda: told in headline(house), f"{column} {value!s:.20} to be told")
        if (column, value) != ROWS[-1]:
            change(house, f"UPDATE jobs SET {column} = ?", whole[column])  # noqa: S608 - ours
            house.wait(lambda: told not in headline(house), f"{column} to be well again")
    and_after_a_restart(house)
    assert told in headline(house)
    assert f"trouble: {told}" in house.run("status").stdout
    change(house, "UPDATE jobs SET name = ?", whole["name"])
    house.wait(lambda: told not in headline(house), "the row to be well again")
    house.gate.touch()
    house.until(State.DONE)


def test_what_nobody_foresaw_is_set_aside(house: House) -> None:
    """A claim is rejected and a job failed, each with its traceback, once; nothing is left for the next daemon."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    house.drop("run.yaml")
    house.until(State.TRAINING)
    change(house, "CREATE TRIGGER no_more BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'poisoned'); END")
    reason = until_rejected(house, "more.yaml", CONFIG.format(data=house.data, devices="[2,4)"))
    assert "glmd.defect" in reason
    assert "Traceback" in reason
    house.wait(lambda: not any((house.root / "claims").iterdir()), "the claim to be gone")
    change(house, "DROP TRIGGER no_more")
    change(house, "CREATE TRIGGER no_merge BEFORE UPDATE ON jobs WHEN NEW.state = 'merging' "
                  "BEGIN SELECT RAISE(ABORT, 'poisoned'); END")  # fmt: skip
    house.gate.touch()
    assert "glmd.defect" in house.until(State.FAILED).reason
    assert "poisoned" in house.directory().defect.read_text()
    change(house, "DROP TRIGGER no_merge")
    assert "defects of glmd met, see its log; the newest: job 1: glmd.defect" in house.run("status").stdout
    and_after_a_restart(house)
    assert "defect" not in headline(house)


RECORDS: tuple[Callable[[Path], object], ...] = (
    lambda path: path.write_text(json.dumps({"pid": 1 << 70, "start_time": 1, "boot_id": "b", "started": "x"})),
    lambda path: path.write_bytes(b"[" * 100_000),
    lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    Path.mkdir,
    os.mkfifo,
)


@pytest.fixture
def shims(house: House) -> Iterator[list[ProcessIdentity]]:
    """Return a list for shims whose records are spoilt; they are ended at last."""
    shims: list[ProcessIdentity] = []
    yield shims
    for shim in shims:
        shim.signal(signal.SIGTERM)
        house.wait(lambda shim=shim: not shim.alive(), "a shim to end")  # type: ignore[misc]
    for path in house.root.glob("jobs/*/attempts/*/*/shim.json"):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def test_a_record_that_says_nothing(house: House, shims: list[ProcessIdentity]) -> None:
    """It harms nobody: a shim that lives is followed by its process, and found by its marks after a restart."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    for number in (1, 2):
        house.drop(f"run{number}.yaml", devices=f"[{2 * number},{2 * number + 2})")
        house.until(State.TRAINING, number)
        shims.append(house.shim(number))
    spoilt, other = (house.directory(number).step(1, Step.TRAIN) for number in (1, 2))
    whole = spoilt.shim.read_bytes()
    for turn, spoil in enumerate(RECORDS):
        spoilt.shim.unlink()
        spoil(spoilt.shim)
        others_go_on(house, f"shim-{turn}.yaml")
        assert house.job(1).state is State.TRAINING
        spoilt.shim.rmdir() if spoilt.shim.is_dir() else spoilt.shim.unlink()
        spoilt.shim.write_bytes(whole)
    for turn, spoil in enumerate(RECORDS[2:]):
        spoil(other.exit)
        others_go_on(house, f"exit-{turn}.yaml")
        if turn < len(RECORDS[2:]) - 1:
            other.exit.rmdir() if other.exit.is_dir() else other.exit.unlink()
    and_after_a_restart(house)
    assert house.job(1).state is State.TRAINING


def test_absurd_things_of_all_kinds() -> None:
    """What the fuzzer of the daemon does: it goes on, answers soon, and meets no defect of its own.

    GLMD_FUZZ_SECONDS and GLMD_FUZZ_SEED let it run for longer, or otherwise.
    """
    with tempfile.TemporaryDirectory(dir=in_memory(), prefix="glmd-fuzz-") as place:
        fuzz = Fuzz(House(Path(place)), int(os.environ.get("GLMD_FUZZ_SEED", "10")), BUSY)
        try:
            fuzz.house.start()
            fuzz.run(float(os.environ.get("GLMD_FUZZ_SECONDS", "8")))
            and_after_a_restart(fuzz.house)
            fuzz.look()
        finally:
            fuzz.close()
