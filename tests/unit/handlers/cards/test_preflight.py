"""Promises of cards.preflight: what npu-smi shows is understood, and nothing else stands in a training's way."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.cards import preflight
from handlers.cards.preflight import Obstacle, look_at_cards, look_at_ports, read_cards
from handlers.codes import Code

PRINTED = Path(__file__).parents[3] / "fixtures" / "npu_smi"
"""In the form in which public reports show what npu-smi 1.8 to 26.0 prints. No card was at hand; numbers are ours."""


def printed(name: str) -> str:
    """Return what npu-smi printed."""
    return (PRINTED / f"{name}.txt").read_text()


def test_cards_of_one_chip() -> None:
    """The card's number is the device's; health and processes are told."""
    cards = read_cards(printed("910b"))
    assert {device: card.health for device, card in cards.items()} == {
        device: "Alarm" if device == 5 else "OK" for device in range(8)
    }
    assert [str(process) for process in cards[2].processes] == ["pid 1333928 (python, 37709 MB)"]
    assert all(not card.processes for device, card in cards.items() if device != 2)


def test_cards_of_two_chips() -> None:
    """They have a column for the physical id."""
    cards = read_cards(printed("a3"))
    assert sorted(cards) == list(range(16))
    assert [process.pid for process in cards[1].processes] == [3328327]
    assert [process.pid for process in cards[2].processes] == [3330598]


def test_cards_say_where_they_are_on_the_bus() -> None:
    """Each elsewhere."""
    buses = {device: card.bus for device, card in read_cards(printed("910b")).items()}
    assert buses[0] == "0000:41:00.0"
    assert len(set(buses.values())) == 8


def test_a_context_on_device_0_is_no_use_of_it() -> None:
    """Every rank has a small one there, also those of a job on other devices: it must not keep device 0 from others."""
    assert read_cards(printed("a3"))[0].processes == ()


@pytest.mark.parametrize("name", ("910a_idle", "container_column"))
def test_older_and_newer_tables(name: str) -> None:
    """More columns, or other names of the chip, make no difference."""
    cards = read_cards(printed(name))
    assert {card.health for card in cards.values()} == {"OK"}
    assert [process.pid for card in cards.values() for process in card.processes] == (
        [632268] if name == "container_column" else []
    )


@pytest.mark.parametrize("text", ("", "dcmi module initialize failed. ret is -8005\n", "| 1 | 2 |\n| a | b |\n"))
def test_what_is_no_table_shows_no_cards(text: str) -> None:
    """Then nothing is concluded from it."""
    assert read_cards(text) == {}


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the npu-smi of PATH will be."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "npu-smi"


def let_print(tool: Path, text: str, code: int = 0) -> None:
    """Let npu-smi answer `info`."""
    (tool.parent / "printed.txt").write_text(text)
    tool.write_text(
        f"#!{sys.executable} -SE\nimport sys\nassert sys.argv[1:] == ['info']\n"
        f"print(open({str(tool.parent / 'printed.txt')!r}).read())\nsys.exit({code})\n"
    )
    tool.chmod(0o755)


def test_what_stands_against_a_training(tool: Path) -> None:
    """Foreign processes may go, bad health and missing cards do not; other devices are nobody's concern."""
    let_print(tool, printed("910b"))
    assert look_at_cards((0, 1, 3)) == ((), "")
    assert look_at_cards((2, 5, 8, 9)) == (
        (
            Obstacle("[8,10) are not among those that npu-smi shows", passes=False, code=Code.DEVICE_ABSENT),
            Obstacle("device 2 is in use by pid 1333928 (python, 37709 MB)", passes=True, code=Code.DEVICE_IN_USE),
            Obstacle("the health of device 5 is Alarm (npu-smi info)", passes=False, code=Code.DEVICE_UNHEALTHY),
        ),
        "",
    )


def test_a_process_that_is_not_seen_has_no_name(tool: Path) -> None:
    """It is another user's, or runs in a container."""
    let_print(tool, printed("a3"))
    found, _ = look_at_cards((1,))
    assert "pid 3328327 (name not shown, 50119 MB)" in found[0].text


def test_without_npu_smi_nothing_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without NPUs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look_at_cards((0, 1)) == ((), "there is no npu-smi in PATH")


def test_an_npu_smi_that_fails_says_why(tool: Path) -> None:
    """A broken tool is no reason to keep a job from its devices."""
    let_print(tool, "dcmi module initialize failed. ret is -8005", 255)
    assert look_at_cards((0,)) == (
        (), "npu-smi info (exit code 255): dcmi module initialize failed. ret is -8005",
    )  # fmt: skip


def test_an_npu_smi_that_hangs_is_left(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that does not answer must not hang the daemon's worker."""
    monkeypatch.setattr(preflight, "PATIENCE", 0.2)
    tool.write_text(f"#!{sys.executable} -SE\nimport signal\nsignal.pause()\n")
    tool.chmod(0o755)
    found, why = look_at_cards((0,))
    assert found == ()
    assert why == "npu-smi info did not end within 0.2 s"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a socket that listens on some port."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        yield listener


def test_a_port_in_use(listener: socket.socket) -> None:
    """HCCL wants one a device, from HCCL_IF_BASE_PORT on; who holds it may go."""
    port = listener.getsockname()[1]
    environment = {"HCCL_IF_BASE_PORT": str(port - 3)}
    found = look_at_ports((2, 3), environment)
    assert [obstacle.passes for obstacle in found] == [True]
    assert str(port) in found[0].text
    listener.close()
    assert str(port) not in "".join(obstacle.text for obstacle in look_at_ports((3,), environment))


@pytest.mark.parametrize("value", ("", "x", "99999999"))
def test_a_base_port_that_is_none_counts_for_nothing(value: str) -> None:
    """HCCL's own is 60000."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        device = listener.getsockname()[1] - 60000
        assert look_at_ports((device,), {"HCCL_IF_BASE_PORT": value} if value else {})
