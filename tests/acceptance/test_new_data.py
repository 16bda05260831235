"""A night takes what is new, as its users meet it: a real daemon, a real drop, a stand-in that trains."""

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime

from daemon.core.night_runs import NightRun, Outcome
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from handlers.codes import Code
from handlers.shards.closing import QUIET
from tests.acceptance.house import CONFIG, House


def last_night() -> datetime:
    """Return when the cycle was due last: at the beginning of a year."""
    return datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)


def night_of(house: House) -> NightRun | None:
    """Return what became of that night."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return store.night("glm", last_night())


def come_again(house: House) -> None:
    """Let the night be due once more, as if nothing had become of it, and start the daemon."""
    with closing(sqlite3.connect(house.root / "glmd.db")) as store, store:
        store.execute("UPDATE nightly SET due = '2025-06-01T00:00:00+00:00'")
        store.execute("UPDATE jobs SET name = 'glm-20250101T000000Z'")
        store.execute("DELETE FROM nightly_runs")
    house.start()


def test_a_night_takes_the_newest_file_and_comes_no_more_for_the_same(house: House) -> None:
    """What is being written is left alone; the output names what it was trained on; the next night is skipped."""
    data = house.data / "sft"
    data.mkdir()
    (data / "old.json").write_text("old")
    whole = data / "whole.json"
    whole.write_text("new")
    template = house.data / "nightly.yaml"
    text = CONFIG.format(data=house.data, devices="[0,2)")
    template.write_text(text.replace(f'"{house.data}/train.json"', f"{{newest:{data}/*.json}}") + "# of {date}\n")
    house.settings["nightly"] = [
        {"name": "glm", "cron": "0 0 1 1 *", "timezone": "UTC", "template": str(template), "continue_from": None}
        | {"if_unchanged": "skip"}
    ]
    house.start()
    house.stop()
    house.wait(lambda: time.time() > whole.stat().st_ctime + QUIET, "the data to rest")
    with (data / "written.json").open("w") as stream:
        stream.write("half")
        stream.flush()
        come_again(house)
        job = house.until(State.DONE)
    night = night_of(house)
    assert night is not None
    assert (night.outcome, night.job) == (Outcome.CAUGHT_UP, job.id)
    assert "written.json is passed over" in night.reason
    submitted = house.directory().submitted.read_text()
    assert f"dataset_dir: '{whole}'" in submitted
    assert "# of {date}" in submitted
    (noted,) = json.loads(house.directory().inputs.read_text())["files"]
    (named,) = json.loads((house.directory().merged / "manifest.json").read_text())["inputs"]
    assert noted["path"] == named["path"] == str(whole)
    assert named["sha256"] == hashlib.sha256(b"new").hexdigest()
    house.stop()
    (data / "written.json").unlink()
    come_again(house)
    house.wait(lambda: night_of(house) is not None, "the night to be settled")
    night = night_of(house)
    assert night is not None
    assert (night.outcome, night.code) == (Outcome.SKIPPED, Code.NIGHT_UNCHANGED)
    assert night.reason == f"inputs unchanged since job {job.id}: {whole}"
    assert len(house.jobs()) == 1
