"""The event files, held against TensorBoard's own reader."""

import math
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.rank_log.steps import StepLine
from handlers.training_record.record import EVENTS, RecordWriter
from handlers.training_record.rows import Header
from handlers.training_record.tensorboard import beginning, crc32c, scalars

from .conftest import Making

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as their_crc32c


def events_in(path: Path) -> list[Event]:
    """Return what TensorBoard reads."""
    return [Event.FromString(raw) for raw in RawEventFileLoader(str(path)).Load()]


@pytest.mark.parametrize(
    ("content", "checksum"), ((b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43))
)
def test_checksum_of_the_standard(content: bytes, checksum: int) -> None:
    """RFC 3720, B.4."""
    assert crc32c(content) == checksum


@given(st.binary(max_size=300))
def test_checksum_is_theirs(content: bytes) -> None:
    """As TensorBoard computes it."""
    assert crc32c(content) == their_crc32c(content)


def test_tags_are_mindformers_own(tmp_path: Path, header: Header, logged: Making) -> None:
    """So that what MindFormers 1.5 and newer write by themselves lies in one plot with it."""
    told = {"learning_rate": 5e-5, "loss_scale": 65536.0, "norm": 1.5, "milliseconds": 114, "samples": 7.25}
    told |= {"teraflops": 120.0, "lm_loss": 2.25, "balancing_loss": 0.25, "mtp_loss": 0.125, "overflow": True}
    RecordWriter(tmp_path, header).append([logged(3, 2.5, time=1795875499.75, **told), logged(4)], 7)
    (path,) = tmp_path.glob(f"{EVENTS}*")
    version, first, second = events_in(path)
    assert version.file_version == "brain.Event:2"
    assert (first.wall_time, first.step) == (1795875499.75, 3)
    assert {value.tag: value.simple_value for value in first.summary.value} == {
        "loss": 2.5,
        "learning-rate": pytest.approx(5e-5),
        "loss-scale": 65536.0,
        "grad-norm": 1.5,
        "iteration-time": 114.0,
        "throughput": 7.25,
        "model-flops-throughput-per-npu": 120.0,
        "lm-loss": 2.25,
        "load-balancing-loss": 0.25,
        "mtp-loss": 0.125,
        "overflow": 1.0,
    }
    assert [value.tag for value in second.summary.value] == ["loss"]
    assert second.wall_time > 0


def test_tensorboard_shows_the_curve_live(tmp_path: Path, header: Header, logged: Making) -> None:
    """Its accumulator, which `tensorboard --logdir` reads with, has each step; those of later too, when it reloads."""
    writer = RecordWriter(tmp_path, header)
    writer.append([logged(number, 10.0 / number) for number in range(1, 101)], 7)
    shown = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in shown.Scalars("loss")] == [
        (number, pytest.approx(10.0 / number)) for number in range(1, 101)
    ]
    writer.append([logged(101, math.nan)], 7)
    last = shown.Reload().Scalars("loss")[-1]
    assert last.step == 101
    assert math.isnan(last.value)


@given(
    st.integers(1, 10**9),
    st.integers(1, 10**9),
    st.floats(width=64),
    st.one_of(st.none(), st.floats(0, 2**33)),
)
def test_any_step_is_a_whole_event(
    tmp_path_factory: pytest.TempPathFactory, epoch: int, number: int, loss: float, at: float | None
) -> None:
    """Whatever numbers a log has."""
    path = tmp_path_factory.mktemp("events") / f"{EVENTS}1.host.glmd"
    step = StepLine(time=at, epoch=epoch, epochs=10**9, step=number, steps=10**9, loss=loss)
    path.write_bytes(beginning(1.0) + scalars(step, 2.0))
    _, event = events_in(path)
    assert event.step == step.number
    assert event.wall_time == (2.0 if at is None else at)
    (value,) = event.summary.value
    if math.isfinite(value.simple_value):
        assert value.simple_value == pytest.approx(loss, rel=1e-6, abs=1e-37)
    else:
        assert math.isnan(loss) or abs(loss) > 3e38
