"""Promises of handlers.rank_table.hccn, kept with a real subprocess that replays hccn_tool's answers."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from handlers.rank_table.hccn import HccnLookup, valid_device_ip

SEED_IPS = {
    0: "192.168.100.101",
    1: "192.168.101.101",
    2: "192.168.102.101",
    3: "192.168.103.101",
    4: "192.168.100.100",
    5: "192.168.101.100",
    6: "192.168.102.100",
    7: "192.168.103.100",
}


class Cards(Protocol):
    """The fixture `cards`."""

    tool: Path
    conf: Path
    calls: list[str]
    say: Callable[..., None]
    lookup: Callable[..., HccnLookup]


def test_all_cards_set(cards: Cards) -> None:
    """Where tool and file agree there is nothing to say."""
    found = cards.lookup().addresses(range(8))
    assert (found.ips, found.warnings, found.missing) == (SEED_IPS, (), {})


def test_only_the_cards_asked_for(cards: Cards) -> None:
    """The tool is called with the physical id, once a card, and for no other card."""
    assert cards.lookup().addresses((6, 2)).ips == {6: SEED_IPS[6], 2: SEED_IPS[2]}
    assert cards.calls == ["-i 6 -ip -g", "-i 2 -ip -g"]


def test_the_tool_wins_over_a_stale_file(cards: Cards) -> None:
    """A difference is a warning that names the card and both addresses, and the card's own word counts."""
    cards.conf.write_text(cards.conf.read_text().replace("192.168.102.101", "10.1.1.1"))
    found = cards.lookup().addresses(range(4))
    assert found.ips[2] == SEED_IPS[2]
    (warning,) = found.warnings
    assert warning.startswith("device 2: hccn_tool says 192.168.102.101, ")
    assert "says 10.1.1.1" in warning


@pytest.mark.parametrize(
    ("turn", "why"),
    (
        ({"text": "no_ip", "exit": 1}, "exit code 1 and said 'Get ip failed, because no ip was preset there!'"),
        ({"text": "no_ip"}, "gave no address but said 'Get ip failed"),
        ({"text": "dashes"}, "gave no address but said 'ipaddr:-.-.-.-'"),
        ({"text": "colons"}, "gave no address but said 'Cmd execute failed: 10.0.0.1 is not"),
        ({"text": "permission", "exit": 255}, "exit code 255 and said 'permission denied"),
        ({"text": "card_5", "exit": 3}, "exit code 3"),
        ({}, "gave no address but said 'nothing'"),
        ({"flood": True}, "hccn_tool "),
    ),
)
def test_one_bad_card_alone_takes_the_file(cards: Cards, turn: dict[str, object], why: str) -> None:
    """A card for which the tool gives no address takes the file's, with the reason; the others keep the tool's."""
    cards.conf.write_text("\n".join(f"address_{card}=10.0.0.{card + 1}" for card in range(8)))
    cards.say(5, turn)
    found = cards.lookup().addresses(range(4, 8))
    assert found.ips == {4: SEED_IPS[4], 5: "10.0.0.6", 6: SEED_IPS[6], 7: SEED_IPS[7]}
    (fallback,) = [warning for warning in found.warnings if warning.startswith("device 5: ")]
    assert why in fallback
    assert f"used {cards.conf}" in fallback


def test_a_hanging_tool_is_killed(cards: Cards) -> None:
    """A card that hangs costs its time-out, not the table, and leaves no process behind."""
    cards.say(1, {"hang": True})
    began = time.monotonic()
    found = cards.lookup(timeout=1.0).addresses((1,))
    assert time.monotonic() - began < 10
    assert found.ips == {1: SEED_IPS[1]}
    assert "did not end within 1 s" in found.warnings[0]
    assert not [p.pid for p in psutil.process_iter(["cmdline"]) if str(cards.tool) in (p.info["cmdline"] or ())]


def test_a_busy_tool_is_asked_again(cards: Cards) -> None:
    """The tool takes one caller at a time; a monitor that uses it in the same moment costs a retry, no warning."""
    cards.say(0, {"text": "busy", "exit": 1}, {"text": "busy"}, {"text": "card_0"})
    found = cards.lookup().addresses((0,))
    assert (found.ips, found.warnings) == ({0: SEED_IPS[0]}, ())


def test_a_tool_that_stays_busy(cards: Cards) -> None:
    """Three busy answers are enough: the file's address is used and the warning says why."""
    cards.say(0, {"text": "busy", "exit": 1})
    found = cards.lookup().addresses((0,))
    assert "hccn_tool is busy" in found.warnings[0]
    assert len(cards.calls) == 3


def test_no_tool_is_one_warning(cards: Cards, tmp_path: Path) -> None:
    """Without the tool all cards take the file's addresses, and one warning names them all."""
    found = HccnLookup(str(tmp_path / "absent"), cards.conf).addresses(range(8))
    assert found.ips == SEED_IPS
    (warning,) = found.warnings
    assert warning.startswith(f"devices [0,8): {tmp_path}/absent is not installed")


def test_a_tool_that_cannot_start(cards: Cards) -> None:
    """A tool for another machine is a reason like any other."""
    cards.tool.write_text("#!/nonexistent/interpreter\n")
    found = cards.lookup().addresses((0,))
    assert "cannot be run (No such file or directory)" in found.warnings[0]


def test_the_tool_is_found_in_path(cards: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is looked for in PATH."""
    monkeypatch.setenv("PATH", str(cards.tool.parent), prepend=os.pathsep)
    assert HccnLookup(conf=cards.conf).addresses((3,)).ips == {3: SEED_IPS[3]}
    assert cards.calls == ["-i 3 -ip -g"]


@pytest.mark.parametrize(
    ("conf", "why"),
    (
        (None, "cannot be read (No such file or directory)"),
        (
            "netmask_2=255.255.255.0\naddress_22=10.0.0.1\n#address_2=10.0.0.2\n",
            "hccn.conf has no address_N line for it",
        ),
        ("\naddress_2=10.0.0\n", "hccn.conf:2: '10.0.0' is not a device's address"),
        ("address_2=\n", "hccn.conf:1: '' is not a device's address"),
    ),
)
def test_neither_source_has_it(cards: Cards, conf: str | None, why: str) -> None:
    """A card without an address anywhere is reported with both reasons."""
    cards.say(2, {"text": "no_ip", "exit": 1})
    if conf is None:
        cards.conf.unlink()
    else:
        cards.conf.write_text(conf)
    found = cards.lookup().addresses((2,))
    assert not found.ips
    assert "no ip was preset" in found.missing[2]
    assert why in found.missing[2]


def test_file_lines(cards: Cards, tmp_path: Path) -> None:
    """Blanks and Windows line ends do not count; of two lines the later wins."""
    cards.conf.write_bytes(b"address_0=10.0.0.1\r\n  address_1 = 10.0.0.2 \naddress_0=10.0.0.3\n\xff\xfe\n")
    assert HccnLookup(str(tmp_path / "absent"), cards.conf).addresses((0, 1)).ips == {0: "10.0.0.3", 1: "10.0.0.2"}


@pytest.mark.parametrize(
    ("text", "ip"),
    (
        ("192.168.100.101", "192.168.100.101"),
        (" 10.0.0.1\r", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("-.-.-.-", None),
        ("0.0.0.0", None),  # noqa: S104 - how an unset card is shown, nothing is bound
        ("127.0.0.1", None),
        ("224.0.0.1", None),
        ("10.0.0.256", None),
        ("10.0.0.1/24", None),
        ("12:34", None),
        ("", None),
    ),
)
def test_valid_device_ip(text: str, ip: str | None) -> None:
    """An address is what parses as one and can be a card's; a colon alone makes none."""
    assert valid_device_ip(text) == ip
