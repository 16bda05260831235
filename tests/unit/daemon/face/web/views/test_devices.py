"""Promises of daemon.face.web.views.devices: which job has which device, and which had."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.daemon_record import DaemonRecord
from daemon.core.states import Job
from daemon.face.web.asking import Asked
from daemon.face.web.views.devices import live
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from handlers.records.process import ProcessIdentity
from tests.listening import listening, nothing_listens, says
from tests.unit.daemon.face.diary import DONE, TRAINING, Diary
from tests.unit.daemon.face.web.exporter_says import exporter_says
from tests.unit.daemon.face.web.nights_site import HOSTILE, Client, site_of
from tests.unit.daemon.face.web.visitor import Visitor


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store, of a daemon with four devices."""
    diary = Diary(tmp_path / "root")
    record = DaemonRecord("0.1.0", ProcessIdentity.of(os.getpid()), now(), now(), (0, 1, 2, 3))
    diary.root.daemon.write_bytes(record.content())
    return diary


def now() -> datetime:
    """Return the moment of a test, which may come long after the tests were collected."""
    return datetime.now(UTC)


def holding(diary: Diary, name: str = "run", devices: str = "[2, 1]") -> Job:
    """Let a job have had these devices for an hour, and hold them."""
    job = diary.job(name, now() - timedelta(hours=1), *TRAINING)
    diary.sql("UPDATE jobs SET devices = ? WHERE id = ?", devices, job.id)
    diary.sql("DELETE FROM device_locks")
    diary.sql("INSERT INTO device_locks SELECT value, ? FROM json_each(?)", job.id, devices)
    return job


def test_each_device_says_who_has_it_as_which_rank(diary: Diary) -> None:
    """In the order of the job's devices; a free one says so."""
    holding(diary)
    asked = Asked(site_of(diary.root.path), read_words(Language.EN), {}, {})
    rows = {row.key: (row.state, row.cells.get("rank", "")) for row in live(asked).lists["devices"]}
    assert rows == {"0": ("free", ""), "1": ("held", "rank 1"), "2": ("held", "rank 0"), "3": ("free", "")}


def test_a_device_that_is_taken_changes_its_square(diary: Diary) -> None:
    """And one that is given back; a job that ended makes the page anew, for its strip has."""
    asked = Asked(site_of(diary.root.path), read_words(Language.EN), {}, {})
    job = holding(diary)
    before = live(asked)
    diary.sql("DELETE FROM device_locks WHERE device = 1")
    assert {row.key: row.state for row in live(asked).lists["devices"]}["1"] == "free"
    assert live(asked).revision == before.revision
    diary.sql("UPDATE jobs SET state = 'done' WHERE id = ?", job.id)
    assert live(asked).revision != before.revision


def test_the_last_day_is_drawn(diary: Diary) -> None:
    """An hour of twenty-four at its right, of the devices that were held, and no other."""
    job = holding(diary)
    text = Client(diary.root.path).get("/devices").text
    assert len(re.findall(r'<rect class="job1" x="95\.\d+%" y="2" width="4\.\d+%"', text)) == 2
    assert f'href="/jobs/{job.id}"' in text
    assert "devices used 2%" in text
    assert "of=devices" in text


def test_a_job_that_ended_long_ago_is_not_there(diary: Diary) -> None:
    """What was the day before is history."""
    diary.job("old", now() - timedelta(days=3), *DONE)
    text = Client(diary.root.path).get("/devices").text
    assert "<rect" not in text
    assert "no job had a device" in text


def test_without_devices_the_page_says_why(tmp_path: Path) -> None:
    """Before the daemon was ever started."""
    assert "glmd doctor" in Client(tmp_path).get("/devices").text


def test_a_holder_whose_row_says_nothing_holds_all_the_same(diary: Diary) -> None:
    """Its number is all that is known of it."""
    job = holding(diary)
    diary.sql("UPDATE jobs SET state = 'abducted' WHERE id = ?", job.id)
    answer = Client(diary.root.path).get("/devices")
    assert answer.status_code == 200
    assert 'data-state="held"' in answer.text


def test_names_are_text(diary: Diary) -> None:
    """Nothing of them is markup."""
    holding(diary, HOSTILE)
    assert "<img" not in Client(diary.root.path).get("/devices").text


def with_exporter(diary: Diary, port: int) -> Visitor:
    """Return one who asks a page whose settings name an exporter."""
    return Visitor(diary.root.path, npu_exporter=f"http://127.0.0.1:{port}/metrics")


def test_health_and_use_are_shown(diary: Diary) -> None:
    """As npu-exporter tells them: of each device at its place, and for programs."""
    text = exporter_says(0, 1, 3, at=now().timestamp() - 12, health_status=0, error_code=0x80E01801)
    with listening(says("200 OK", text)) as server:
        visitor = with_exporter(diary, server.port)
        page, api = visitor.all(["/devices?lang=en", "/api/v1/devices"])
        chinese = visitor.get("/devices?lang=zh").text
    assert "91% · 28000/32768 MB · 61 °C · 280 W" in page.text
    assert "▲ not healthy 80E01801" in page.text
    assert "▲ 不健康 80E01801" in chinese
    assert "npu-exporter" in page.text
    devices = api.json()["devices"]
    assert [each["use"] and each["use"]["healthy"] for each in devices] == [True, True, None, False]
    assert api.json()["exporter"]["trouble"] is None


def test_what_is_old_says_so(diary: Diary) -> None:
    """At each device: an exporter may answer, and measure nothing any more."""
    with listening(says("200 OK", exporter_says(0, at=now().timestamp() - 300))) as server:
        assert "280 W · 5m ago" in with_exporter(diary, server.port).get("/devices?lang=en").text


def test_a_dead_exporter_is_told(diary: Diary) -> None:
    """And all else of the page is there."""
    with nothing_listens() as port:
        visitor = with_exporter(diary, port)
        page = visitor.get("/devices?lang=en").text
        assert "▲ it does not answer: Connection refused" in page
        assert "▲ 没有应答：Connection refused" in visitor.get("/devices?lang=zh").text
        assert visitor.get("/api/v1/devices").json()["exporter"]["trouble"] == "silent"
    assert page.count("data-key=") >= 4


def test_without_the_setting_nobody_is_asked(diary: Diary) -> None:
    """The page has what glmd knows."""
    visitor = Visitor(diary.root.path)
    assert "npu-exporter" not in visitor.get("/devices").text
    assert visitor.get("/api/v1/devices").json()["exporter"] is None
