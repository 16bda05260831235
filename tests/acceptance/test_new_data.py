"""A night takes what is new, as its users meet it: a real daemon, a real drop, a stand-in that trains."""

import hashlib
import json
import time
from datetime import UTC, datetime

from daemon.core.night_runs import NightRun, Outcome
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.core.store import Store
from handlers.codes import Code
from handlers.shards.closing import QUIET
from tests.acceptance.house import CONFIG, House


def night_of(house: House, day: int) -> NightRun | None:
    """Return what became of the night of a day in January."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return store.night("glm", datetime(datetime.now(UTC).year, 1, day, tzinfo=UTC))


def come(house: House, day: int) -> None:
    """Let the cycle be due at a day in January, long ago, and start the daemon."""
    cron = f"0 0 {day} 1 *"
    template = str(house.data / "nightly.yaml")
    cycle = {"name": "glm", "cron": cron, "timezone": "UTC", "template": template, "continue_from": None}
    house.settings["nightly"] = [cycle | {"if_unchanged": "skip"}]
    with Store.open(house.root / "glmd.db") as store:
        store.set_last_due("glm", datetime(datetime.now(UTC).year, 1, day - 1, tzinfo=UTC), cron)
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
    house.wait(lambda: time.time() > whole.stat().st_ctime + QUIET, "the data to rest")
    with (data / "written.json").open("w") as stream:
        stream.write("half")
        stream.flush()
        come(house, 2)
        job = house.until(State.DONE)
    night = night_of(house, 2)
    assert night is not None
    assert (night.outcome, night.job) == (Outcome.CAUGHT_UP, job.id)
    assert "written.json is skipped" in night.reason
    submitted = house.directory().submitted.read_text()
    assert f"dataset_dir: '{whole}'" in submitted
    assert "# of {date}" in submitted
    (noted,) = json.loads(house.directory().inputs.read_text())["files"]
    (named,) = json.loads((house.directory().merged / "manifest.json").read_text())["inputs"]
    assert noted["path"] == named["path"] == str(whole)
    assert named["sha256"] == hashlib.sha256(b"new").hexdigest()
    house.stop()
    (data / "written.json").unlink()
    come(house, 3)
    house.wait(lambda: night_of(house, 3) is not None, "the night to be settled")
    night = night_of(house, 3)
    assert night is not None
    assert (night.outcome, night.code) == (Outcome.SKIPPED, Code.NIGHT_UNCHANGED)
    assert night.reason == f"inputs unchanged since job {job.id}: {whole}"
    assert len(house.jobs()) == 1
