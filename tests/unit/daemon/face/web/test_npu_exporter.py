"""Promises of daemon.face.web.npu_exporter: what npu-exporter says is shown, and no page waits for it."""

import errno
import socket
import time
from threading import Event

import pytest

from daemon.face.web import npu_exporter
from daemon.face.web.npu_exporter import PATIENCE, WITHIN, NpuExporter, Readings, Trouble
from daemon.face.web.npu_exporter_text import MOST_DEVICES, DeviceUse, read
from tests.listening import Answer, Server, accepting, hangs, listening, never_ends, nothing_listens, says, sends
from tests.unit.daemon.face.web.exporter_says import exporter_says


def heard(asked: NpuExporter) -> Readings:
    """Return what is known once the try that is under way is over."""
    asked.readings()
    asking = asked._asking
    assert asking is None or asking.wait(30)
    return asked._known


def of(server: Server) -> NpuExporter:
    """Return who asks this server."""
    return NpuExporter(f"http://127.0.0.1:{server.port}/metrics")


def test_the_first_page_has_the_figures() -> None:
    """Of a quick exporter, asked by the path of the settings."""
    begin = time.time()
    with listening(says("200 OK", exporter_says(0, 3, at=begin - 12))) as server:
        found = of(server).readings()
    assert server.requests[0].line == "GET /metrics HTTP/1.1"
    assert found.devices[3] == DeviceUse(True, 0, 91, 28000, 32768, 61, 280.1)
    assert found.measured is not None
    assert found.measured.timestamp() == pytest.approx(begin - 12, abs=0.01)
    assert found.trouble is None


def test_it_is_asked_again_after_some_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many look."""
    with listening(says("200 OK", exporter_says(0))) as server:
        asked = of(server)
        for _ in range(20):
            heard(asked)
        assert len(server.requests) == 1
        monkeypatch.setattr(npu_exporter, "EVERY", 0.0)
        heard(asked)
        assert len(server.requests) == 2


def drips(connection: socket.socket, ends: Event) -> None:
    """Answer a byte at a time, without an end."""
    for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000:
        if ends.wait(0.05):
            return
        connection.sendall(bytes([byte]))


@pytest.mark.parametrize("answer", (hangs, drips, never_ends("200 OK")))
def test_no_page_waits_for_a_slow_one(answer: Answer) -> None:
    """Not for the first answer either; and later it is told that there is none."""
    with listening(answer) as server:
        asked = of(server)
        begin = time.monotonic()
        assert asked.readings().devices == {}
        assert time.monotonic() - begin < PATIENCE + 1
        while asked.readings().trouble is None:
            assert time.monotonic() - begin < 5 * WITHIN
            Event().wait(0.05)
        assert asked.readings().trouble in {Trouble.SILENT, Trouble.WRONG}
        begin = time.monotonic()
        asked.readings()
        assert time.monotonic() - begin < PATIENCE


@pytest.mark.parametrize(
    ("answer", "why"),
    (
        (says("500 Internal Server Error"), "HTTP 500"),
        (says("302 Found", location="http://other.example/"), "HTTP 302"),
        (says("200 OK", "<html>login</html>"), "no npu_chip_info_"),
        (says("200 OK", b"\xff\xfe\x00" * 1000), "no npu_chip_info_"),
        (sends(b"SSH-2.0-x\r\n"), "no HTTP"),
        (sends(b""), "closed"),
    ),
)
def test_what_is_no_exporter_is_told(answer: Answer, why: str) -> None:
    """And nothing is followed elsewhere."""
    with listening(answer) as server:
        found = heard(of(server))
    assert found.trouble is not None
    assert why in found.why


def test_a_dead_one_leaves_what_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """With when it was heard, and why no more is."""
    monkeypatch.setattr(npu_exporter, "EVERY", 0.0)
    with listening(says("200 OK", exporter_says(0))) as server:
        asked = of(server)
        before = heard(asked)
    after = heard(asked)
    assert (after.devices, after.measured) == (before.devices, before.measured)
    assert (after.trouble, after.why) == (Trouble.SILENT, "Connection refused")
    with nothing_listens() as port:
        assert heard(NpuExporter(f"http://127.0.0.1:{port}/")).trouble is Trouble.SILENT


def test_where_no_socket_may_be_opened_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the unit without its drop-in."""

    def forbidden(*_: object, **__: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "create_connection", forbidden)
    assert heard(NpuExporter("http://127.0.0.1:1/metrics")).trouble is Trouble.FORBIDDEN


def test_an_endless_answer_is_given_up() -> None:
    """At so many bytes."""
    text = exporter_says(0) + "# " + "x" * (5 << 20)
    with listening(says("200 OK", text)) as server:
        assert "bytes" in heard(of(server)).why


def test_times_and_figures_of_each_device_are_its_own() -> None:
    """The newest time is that of the answer."""
    told = read(exporter_says(0, 1, 7, at=1_723_621_883.587, utilization=3.5, health_status=0))
    assert told.measured == pytest.approx(1_723_621_883.587)
    assert [use.used for use in told.devices.values()] == [91, 91, 3.5]
    assert [use.healthy for use in told.devices.values()] == [True, True, False]


def test_older_and_newer_exporters_are_read() -> None:
    """Labels of `id` alone, no times, use of the whole chip, memory that is none of HBM, a row a container."""
    text = (
        'npu_chip_info_health_status{id="0"} 1\nnpu_chip_info_utilization{id="0"} 10\n'
        'npu_chip_info_overall_utilization{id="0"} 20\nnpu_chip_info_used_memory{id="0"} 3\n'
        'npu_chip_info_total_memory{id="0"} 4\nnpu_chip_info_power{container_name="a",id="0"} 5\n'
        'npu_chip_info_power{container_name="b",id="0"} 5\n'
    )
    assert read(text).devices == {0: DeviceUse(True, None, 20, 3, 4, None, 5)}
    assert read(text).measured is None


@pytest.mark.parametrize(
    "line",
    (
        'npu_chip_info_power{id="0"} NaN',
        'npu_chip_info_power{id="0"} 1e999',
        'npu_chip_info_power{id="-1"} 1',
        'npu_chip_info_power{id="99999"} 1',
        'npu_chip_info_power{id="\u0663"} 1',
        'npu_chip_info_power{vdie_id="0"} 1',
        'npu_chip_info_power{id="0" 1',
        'npu_chip_info_name{id="0",name="x"} 1',
        "npu_chip_info_power 1",
        'npu_chip_info_power{x="' + '\\"' * 50_000,
        'npu_chip_info_power{x="' + 'a"' * 50_000,
    ),
)
def test_what_makes_no_sense_is_left_out(line: str) -> None:
    """And takes no time."""
    begin = time.process_time()
    assert read(f"{line}\n").devices == {}
    assert time.process_time() - begin < 5


def test_devices_are_bounded() -> None:
    """Whatever answers there."""
    assert len(read(exporter_says(*range(2000))).devices) == MOST_DEVICES


def test_a_port_that_accepts_and_says_nothing_is_no_matter() -> None:
    """As a forward whose other end is gone."""
    with accepting(hangs) as port:
        begin = time.monotonic()
        NpuExporter(f"http://127.0.0.1:{port}/metrics").readings()
        assert time.monotonic() - begin < PATIENCE + 1
