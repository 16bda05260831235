"""All samples: of every family there is one where there is something to say, and no part takes another with it."""

import math
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.core.states import State
from daemon.core.store import Store
from daemon.face.metrics import exporter
from daemon.face.metrics.families import FAMILIES
from daemon.face.metrics.family import number_text
from daemon.face.metrics.of_jobs import MOST_JOBS
from tests.unit.daemon.face.metrics.scene import DUE, NOW, Scene, of, parsed
from tests.unit.daemon.face.web.visitor import multiply

HOSTILE = 'a"b\\c\nd\udce4<\u202e'
JOB = "job_steps_done"


def names(text: bytes) -> set[str]:
    """Return the families of what is exposed."""
    return {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE")}


def test_every_family_has_samples(scene: Scene) -> None:
    """Where there is something of everything; those that are documented are those that there are."""
    scrape = scene.fill().scrape()
    assert scrape.failures == {}
    assert names(scrape.text) == {family.name for family in FAMILIES}


@pytest.mark.prometheus
def test_promtool_has_nothing_against_it(scene: Scene) -> None:
    """`promtool check metrics`: names, units, types."""
    text = scene.fill().scrape().text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_another_parser_reads_the_same(scene: Scene) -> None:
    """prometheus_client finds as many samples as there are lines, and what is where."""
    text = scene.fill().scrape().text
    values = parsed(text)
    assert len(values) == sum(not line.startswith("#") for line in text.decode().splitlines())
    assert of(values, "up") == 1
    assert of(values, "faults") == 1
    assert of(values, "devices", state="free") == 6
    assert of(values, "jobs", state="training") == 1
    assert of(values, "jobs", state="rejected") == 0
    assert of(values, "device_job_info", id="5", job_id="4", job_name="run_glm_6b", rank="1") == 1
    assert of(values, "notifications", destination="team", state="sent") == 5
    assert of(values, "notifications", destination="team", state="dropped") == 0
    assert of(values, "notification_oldest_pending_timestamp_seconds") == (NOW - timedelta(minutes=4)).timestamp()
    assert of(values, "retention_freed_bytes_total", part="shards") == 1000
    assert of(values, "gate_refusals_total", error="gate.loss") == 1
    assert of(values, "merge_written_bytes_total") == 13 << 30
    assert of(values, "web_streams") == 2


def test_names_of_strangers_stay_one_label(scene: Scene) -> None:
    """Quotes, backslashes and line ends are escaped; what is no UTF-8 is told from what is."""
    job = scene.train("x")
    scene.diary.sql("UPDATE jobs SET name = CAST(? AS TEXT) WHERE id = ?", HOSTILE.replace("\udce4", "ä"), job.id)
    scene.diary.sql("UPDATE jobs SET prefix = CAST(? AS TEXT) WHERE id = ?", b'p\xff"', job.id)
    job.directory(scene.root.path).path.rename(scene.root.jobs / "moved")
    text = scene.scrape().text
    assert text.decode().count("glmd_job_info{") == 1
    (key,) = [key for key in parsed(text) if key[0] == "glmd_job_info"]
    assert dict(key[1])["job_name"] == HOSTILE.replace("\udce4", "ä")
    assert dict(key[1])["prefix"] == 'p\ufffd"'


def test_text_that_no_encoding_has_is_written_all_the_same() -> None:
    """A label with half a character does not cost the scrape."""
    text = exporter.exposition([exporter.families.JOB_INFO(1, 1, "\ud800\\", "", "", 1)], FAMILIES)
    (key,) = parsed(text)
    assert dict(key[1])["job_name"] == "?\\"
    assert b"\\u" not in text  # which the format has no escape for: Prometheus would refuse all of it


@pytest.mark.parametrize(
    ("value", "text"),
    (
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (True, "1"),
        (3.0, "3"),
        (1e300, "1e+300"),
        (0.1, "0.1"),
    ),
)
def test_numbers_as_prometheus_has_them(value: float, text: str) -> None:
    """Also those that are none."""
    assert number_text(value) == text


@pytest.mark.parametrize("part", ("daemon", "disk", "store", "nights", "jobs", "notifications"))
def test_a_part_that_breaks_takes_no_other_with_it(scene: Scene, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Whatever stands against it, a defect too: it says so, and the rest is as before."""

    def broken(*_: object) -> list[object]:
        raise ZeroDivisionError

    before = scene.fill().values()
    monkeypatch.setattr(exporter, f"of_{part}", broken)
    scrape = scene.scrape()
    values = parsed(scrape.text)
    assert {name: type(error) for name, error in scrape.failures.items()} == {part: ZeroDivisionError}
    for other in ("daemon", "disk", "forecast", "store", "nights", "jobs", "notifications"):
        assert of(values, "collector_success", collector=other) == (other != part)
    gone = before.keys() - values.keys()
    assert gone
    assert len(values) > len(before) / 3


def test_a_store_that_is_none_costs_what_is_read_of_it_alone(scene: Scene) -> None:
    """The disk and the daemon are told of."""
    scene.fill()
    scene.root.store.write_bytes(b"no database" * 1000)
    scrape = scene.scrape()
    assert set(scrape.failures) == {"store", "nights", "jobs", "forecast"}
    assert of(parsed(scrape.text), "up") == 1
    assert of(parsed(scrape.text), "filesystem_free_bytes", place="jobs")


def test_a_root_of_which_nobody_knows_anything(tmp_path: Path) -> None:
    """Nothing is there: it says so, and is answered."""
    scrape = exporter.Exporter(exporter.Root(tmp_path / "none"), tmp_path).scrape()
    assert of(parsed(scrape.text), "up") == 0
    assert set(scrape.failures) == {"disk", "store", "nights", "jobs", "forecast"}


def test_what_is_exposed_does_not_grow_with_the_jobs(scene: Scene) -> None:
    """A thousand jobs more that are over leave no sample of their own; of those at work there are a hundred at most."""
    job = scene.fill().diary.job("over", DUE, State.PREPARING, State.TRAINING, State.FAILED, code="rank.died")
    before = set(scene.values())
    multiply(scene.diary, job, 1000)
    assert {key for key in scene.values() if key not in before} == set()
    scene.diary.sql("UPDATE jobs SET state = 'evaluating' WHERE id > ?", job.id + 800)
    assert sum(key[0] == "glmd_job_info" for key in scene.values()) == MOST_JOBS


def test_a_job_that_is_over_leaves_nothing_behind(scene: Scene) -> None:
    """Its samples end with it, also where the same exporter has told of it before."""
    job = scene.train()
    assert of(scene.values(), JOB, job_id=job.id) == 8
    with Store.open(scene.root.store) as store:
        store.move(job, State.FAILED)
    assert [key for key in scene.values() if ("job_id", str(job.id)) in key[1]] == []
