"""daemon.json is read as it was written, or refused with a reason; who wrote it is told from a later process."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from daemon.core.daemon_record import (
    MOST_BYTES,
    DaemonRecord,
    DaemonRecordError,
    NextNight,
    PresentFault,
    is_alive,
    read_daemon_record,
)
from daemon.core.root import Root
from handlers.records.process import ProcessIdentity

NOW = datetime(2026, 11, 28, 18, tzinfo=UTC)
RECORD = DaemonRecord(
    version="0.2.0",
    process=ProcessIdentity.of(os.getpid()),
    started=NOW,
    settings_read=NOW + timedelta(seconds=1),
    devices=(0, 1, 7),
    cycles=(NextNight("glm-6b", NOW + timedelta(hours=8)),),
    faults=(PresentFault("disk", "host.disk-full", "/var/glm is full: “夜”", NOW),),
)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root without anything in it."""
    return Root(tmp_path)


def test_it_is_read_as_it_was_written(root: Root) -> None:
    """Every field of it, also of a daemon that was stopped."""
    for record in (RECORD, DaemonRecord("1", RECORD.process, NOW, NOW, (), stopped=NOW)):
        root.daemon.write_bytes(record.content())
        assert read_daemon_record(root) == record


def test_the_file_says_what_others_may_rely_on(root: Root) -> None:
    """Its keys, for programs that are not glmd's; each moment is in UTC."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))
    root.daemon.write_bytes(DaemonRecord("0.2.0", ProcessIdentity(7, 8, "boot"), elsewhere, NOW, (0,)).content())
    assert json.loads(root.daemon.read_text()) == {
        "format": 1,
        "version": "0.2.0",
        "pid": 7,
        "start_time": 8,
        "boot_id": "boot",
        "devices": [0],
        "started": "2026-11-28T18:00:00+00:00",
        "settings_read": "2026-11-28T18:00:00+00:00",
        "cycles": [],
        "faults": [],
        "stopped": None,
    }


def test_without_a_file_there_was_no_daemon(root: Root) -> None:
    """That is no error: an older glmd serves, or none has yet."""
    assert read_daemon_record(root) is None


def test_what_a_newer_glmd_adds_is_left_out(root: Root) -> None:
    """A reader that was not restarted with the daemon goes on."""
    root.daemon.write_text(json.dumps({**json.loads(RECORD.content()), "mood": "good"}))
    assert read_daemon_record(root) == RECORD


@pytest.mark.parametrize(
    ("key", "value"),
    (
        *(("format", value) for value in (2, "1", True, None)),
        *(("version", value) for value in (None, 1)),
        *(("pid", value) for value in (0, -1, 1 << 31, 1.0, True, "7", None)),
        *(("start_time", value) for value in (-1, 1 << 63, None)),
        *(("started", value) for value in (None, 0, "", "yesterday", "2026-11-28T18:00:00", "9999-12-31T00:00:00Z")),
        ("settings_read", None),
        ("stopped", 1),
        *(("devices", value) for value in (None, 0, ["0"], [-1], {})),
        *(("cycles", value) for value in (None, [1], ["name"])),
        *(("faults", value) for value in (None, "", [None])),
    ),
)
def test_damage_is_told_by_its_key(root: Root, key: str, value: object) -> None:
    """Whatever it is, no other error comes of it, and the text names file and key."""
    root.daemon.write_text(json.dumps({**json.loads(RECORD.content()), key: value}))
    with pytest.raises(DaemonRecordError, match=rf"daemon\.json: not what this glmd writes: .*{key}"):
        read_daemon_record(root)


@pytest.mark.parametrize(("key", "part"), (("cycles", "name"), ("cycles", "next_due"), ("faults", "since")))
def test_so_is_damage_within_a_part(root: Root, key: str, part: str) -> None:
    """A fault, or a cycle, that lacks something."""
    values = json.loads(RECORD.content())
    del values[key][0][part]
    root.daemon.write_text(json.dumps(values))
    with pytest.raises(DaemonRecordError, match=f"{part} is null"):
        read_daemon_record(root)


@pytest.mark.parametrize("content", (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (MOST_BYTES + 1)))
def test_what_is_no_record_is_refused(root: Root, content: bytes) -> None:
    """An empty file, as a power cut may leave it; a file that never ends does not fill the memory."""
    root.daemon.write_bytes(content)
    with pytest.raises(DaemonRecordError, match=r"daemon\.json: "):
        read_daemon_record(root)


def test_a_fifo_is_not_waited_for(root: Root) -> None:
    """Nobody may be at its other end."""
    os.mkfifo(root.daemon)
    with pytest.raises(DaemonRecordError, match="not a regular file"):
        read_daemon_record(root)


def test_alive_is_the_process_that_wrote_it() -> None:
    """Not one that has its number since, and not one that said that it ends."""
    assert is_alive(RECORD)
    me = RECORD.process
    for other in (
        ProcessIdentity(me.pid, me.start_time + 1, me.boot_id),
        ProcessIdentity(me.pid, me.start_time, "another boot"),
    ):
        assert not is_alive(DaemonRecord("1", other, NOW, NOW, ()))
    assert not is_alive(DaemonRecord("1", me, NOW, NOW, (), stopped=NOW))


def test_reading_it_loads_little() -> None:
    """It is for a process that runs for months in a few megabytes."""
    code = "import sys, daemon.core.daemon_record; print({'pydantic', 'structlog', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
