"""Promises of handlers.rank_table.table, the file format and the rules."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import BadInputError, RefusedError
from handlers.rank_table.file import parse
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.host_address import HostAddress
from handlers.rank_table.rules import find_problems, find_warnings
from handlers.rank_table.table import Device, RankTable, Server, inspect, make, merge, read, write
from handlers.rank_table.topology import Topology
from handlers.units.devices import parse_devices

SERVER = "192.168.1.196"


class Cards(Protocol):
    """The fixture `cards`."""

    conf: Path
    say: Callable[..., None]
    lookup: Callable[..., HccnLookup]


def server(server_id: str, count: int = 2, *, first_rank: int = 0, net: int = 0) -> Server:
    """Return a server of `count` devices, whose addresses are in the network 10.0.`net`."""
    return Server(
        server_id, tuple(Device(device, f"10.0.{net}.{device + 1}", first_rank + device) for device in range(count))
    )


# making


def test_the_seeds_table(cards: Cards, tmp_path: Path) -> None:
    """Eight cards give the stock tool's file: same name, same bytes."""
    table, warnings = make(range(8), server_ip=SERVER, ip_source=cards.lookup())
    path = write(table, tmp_path)
    assert path == tmp_path / "hccl_8p_01234567_192.168.1.196.json"
    assert not warnings
    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=4)
    assert text.startswith(
        '{\n    "version": "1.0",\n    "server_count": "1",\n    "server_list": [\n        {\n'
        '            "server_id": "192.168.1.196",\n            "device": [\n                {\n'
        '                    "device_id": "0",\n                    "device_ip": "192.168.100.101",\n'
        '                    "rank_id": "0"\n                },\n'
    )
    assert text.endswith('            "host_nic_ip": "reserve"\n        }\n    ],\n    "status": "completed"\n}')
    assert read(path) == table


def test_visible_devices(cards: Cards) -> None:
    """The stock tool's own example, on which it fails: visible 4,5,6,7 and [0,4) are ranks 0-3 on devices 4-7."""
    table, _ = make(range(4), visible_devices=(4, 5, 6, 7), server_ip=SERVER, ip_source=cards.lookup())
    assert [(d.rank_id, d.device_id, d.device_ip) for d in table.devices] == [
        (0, 4, "192.168.100.100"),
        (1, 5, "192.168.101.100"),
        (2, 6, "192.168.102.100"),
        (3, 7, "192.168.103.100"),
    ]
    assert table.file_name() == "hccl_4p_4567_192.168.1.196.json"


def test_a_position_beyond_the_visible_devices(cards: Cards) -> None:
    """A position that is not there is told with the positions that are, and the bracket slip with its cure."""
    with pytest.raises(BadInputError, match=r"the positions are \[0,4\) and 4 is not there; .*write \[0,4\)"):
        make(range(5), visible_devices=(4, 5, 6, 7), server_ip=SERVER, ip_source=cards.lookup())


@pytest.mark.parametrize(
    ("devices", "topology", "why"),
    (
        ("[0,8]", Topology.ANY, r"no product takes 9 devices.*\[0,8\] includes device 8.*write \[0,8\)"),
        ("[0,8]", Topology.B910, r"has the devices \[0,8\), not 8; \[0,8\] includes device 8.*write \[0,8\)"),
        ("[0,3)", Topology.A910, "takes 1, 2, 4 or 8 devices, not 3"),
        ("[0,2]", Topology.A910, r"for 2 devices write \[0,2\)"),
        ("[3,5)", Topology.A910, "cross the two rings"),
        ("[4,12)", Topology.A910, r"has the devices \[0,8\)"),
        ("0,9", Topology.CARDS16, "same positions"),
    ),
)
def test_refused_before_any_card_is_asked(devices: str, topology: Topology, why: str, tmp_path: Path) -> None:
    """Numbers and wiring are judged first, with no hardware at hand."""
    source = HccnLookup(str(tmp_path / "absent"), tmp_path / "absent.conf")
    with pytest.raises(RefusedError, match=r"(?s)HCCL would not take this rank table:.*" + why):
        make(parse_devices(devices), server_ip=SERVER, ip_source=source, topology=topology)


def test_sixteen_cards(cards: Cards) -> None:
    """[0,16) is sixteen devices, also in the name."""
    cards.conf.write_text("\n".join(f"address_{card}=10.0.0.{card + 1}" for card in range(16)))
    source = HccnLookup("/nonexistent", cards.conf)
    table, _ = make(parse_devices("[0,16)"), server_ip=SERVER, ip_source=source, topology=Topology.CARDS16)
    assert len(table.devices) == 16
    assert table.file_name() == "hccl_16p_0123456789101112131415_192.168.1.196.json"


def test_a_card_without_address_fails_the_table(cards: Cards) -> None:
    """Several devices need an address each: the error names the card, why, and what to do."""
    cards.say(1, {"text": "no_ip", "exit": 1})
    cards.conf.write_text("address_0=192.168.100.101\n")
    with pytest.raises(RefusedError) as caught:
        make(range(2), server_ip=SERVER, ip_source=cards.lookup())
    assert "no address for 1 of 2 devices" in str(caught.value)
    assert "device 1: hccn_tool failed with exit code 1" in str(caught.value)
    assert "hccn_tool -i N -ip -s address" in str(caught.value)


def test_what_all_cards_lack_is_told_once(tmp_path: Path) -> None:
    """Without tool and file the error is three lines, not one a card."""
    source = HccnLookup(str(tmp_path / "absent"), tmp_path / "absent.conf")
    with pytest.raises(
        RefusedError, match=r"no address for 8 of 8 devices\n  device \[0,8\): .*\nSet it with"
    ) as caught:
        make(range(8), server_ip=SERVER, ip_source=source)
    assert len(str(caught.value).splitlines()) == 3


def test_a_single_device_needs_no_address(tmp_path: Path) -> None:
    """On a host without any hccn one device still gets its table, and a warning."""
    source = HccnLookup(str(tmp_path / "absent"), tmp_path / "absent.conf")
    table, warnings = make((3,), server_ip=SERVER, ip_source=source)
    assert table.devices == (Device(3, "", 0),)
    assert "enough for a single device" in warnings[0]
    assert "device 3: " in warnings[0]


def test_two_cards_with_one_address(cards: Cards) -> None:
    """A copied hccn.conf line is found out, naming both ranks."""
    cards.conf.write_text("address_0=10.0.0.1\naddress_1=10.0.0.1\n")
    with pytest.raises(RefusedError, match=r"ranks 0 and 1 have the same device_ip 10\.0\.0\.1"):
        make(range(2), server_ip=SERVER, ip_source=HccnLookup("/nonexistent", cards.conf))


def test_the_look_ups_warnings_are_handed_on(cards: Cards) -> None:
    """A stale file is heard of by who makes the table."""
    cards.conf.write_text("address_0=10.1.1.1\naddress_1=192.168.101.101\n")
    _, warnings = make(range(2), server_ip=SERVER, ip_source=cards.lookup())
    assert [w for w in warnings if w.startswith("device 0: hccn_tool says")]


def test_an_unknown_wiring_is_warned_about(cards: Cards) -> None:
    """Without a topology set, what a 910A cannot do is allowed and told."""
    _, warnings = make((3, 4), server_ip=SERVER, ip_source=cards.lookup())
    assert "cross the two rings" in warnings[0]
    _, warnings = make((3, 4), server_ip=SERVER, ip_source=cards.lookup(), topology=Topology.B910)
    assert not warnings


def test_a_loopback_server_is_warned_about(cards: Cards) -> None:
    """One server may be 127.0.0.1, when told so, with a warning that it cannot be merged."""
    _, warnings = make(range(2), server_ip="127.0.0.1", ip_source=cards.lookup())
    assert "loopback address" in warnings[0]


def test_the_hosts_own_address(cards: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is the host's address; a guess among several is a warning, none at all an error that says what to do."""
    monkeypatch.setattr("handlers.rank_table.table.host_address", lambda: HostAddress("10.0.0.5", "eth0"))
    table, warnings = make(range(2), ip_source=cards.lookup())
    assert (table.servers[0].server_id, warnings) == ("10.0.0.5", ())
    monkeypatch.setattr(
        "handlers.rank_table.table.host_address", lambda: HostAddress("10.0.0.5", "eth0", ("10.8.0.1",))
    )
    assert "not 10.8.0.1: give --server-ip" in make(range(2), ip_source=cards.lookup())[1][0]
    monkeypatch.setattr("handlers.rank_table.table.host_address", lambda: None)
    with pytest.raises(BadInputError, match="give --server-ip IP"):
        make(range(2), ip_source=cards.lookup())


def test_a_server_ip_that_is_none(cards: Cards) -> None:
    """A host name is no address."""
    with pytest.raises(BadInputError, match="'node-1' is not an IP address"):
        make(range(2), server_ip="node-1", ip_source=cards.lookup())


# the rules


def replace_device(table: RankTable, index: int, **changes: object) -> RankTable:
    """Return `table` with its first server's device at `index` changed."""
    first = table.servers[0]
    devices = list(first.devices)
    devices[index] = Device(**{**vars(devices[index]), **changes})
    return RankTable((Server(first.server_id, tuple(devices)), *table.servers[1:]))


TWO = RankTable((server("10.1.0.1"), server("10.1.0.2", first_rank=2, net=1)))


@pytest.mark.parametrize(
    ("table", "why"),
    (
        (RankTable(()), "server_list is empty"),
        (RankTable((server("10.1.0.1"), server("10.1.0.1", first_rank=2, net=1))), "'10.1.0.1' occurs 2 times"),
        (RankTable((server(""),)), "server_id '' must have 1 to 63 characters"),
        (RankTable((server("x" * 64),)), "must have 1 to 63 characters"),
        (RankTable((server("127.0.1.1"), server("10.1.0.2", first_rank=2, net=1))), "127.0.1.1 is a loopback"),
        (RankTable((server("::1"), server("10.1.0.2", first_rank=2, net=1))), "::1 is a loopback"),
        (RankTable((server("localhost"), server("10.1.0.2", first_rank=2, net=1))), "localhost is a loopback"),
        (RankTable((server("10.1.0.1", 9),)), "server 10.1.0.1: no product takes 9 devices"),
        (RankTable((server("10.1.0.1", 0),)), "server 10.1.0.1: no devices"),
        (
            RankTable((server("10.1.0.1", 4), server("10.1.0.2", 2, first_rank=4, net=1))),
            "same number of devices, but 10.1.0.1 has 4, 10.1.0.2 has 2",
        ),
        (replace_device(TWO, 1, device_id=0), "server 10.1.0.1: ranks 0 and 1 are both on device 0"),
        (replace_device(TWO, 1, rank_id=0), "rank 0 is given 2 times: device 0 of server 10.1.0.1, device 1 of"),
        (replace_device(TWO, 1, rank_id=0), "rank_ids must be 0 to 3, each once: rank 1 is missing"),
        (replace_device(TWO, 1, rank_id=9), "rank 9 on device 1 of server 10.1.0.1 is too high"),
        (replace_device(TWO, 1, device_ip="10.0.0"), "rank 1, device 1 of server 10.1.0.1: device_ip '10.0.0' is not"),
        (replace_device(TWO, 1, device_ip="-.-.-.-"), "device_ip '-.-.-.-' is not a device's address"),
        (replace_device(TWO, 1, device_ip=""), "rank 1, device 1 of server 10.1.0.1: device_ip is empty"),
        (replace_device(TWO, 1, device_ip="10.0.1.1"), "ranks 1 and 2 have the same device_ip 10.0.1.1"),
    ),
)
def test_broken_rules(table: RankTable, why: str) -> None:
    """Each rule of HCCL has a message that names the server, the rank or the device."""
    assert any(why in problem for problem in find_problems(table)), find_problems(table)


def test_all_problems_at_once() -> None:
    """A table that is wrong in several ways is told all of them."""
    table = replace_device(replace_device(TWO, 1, rank_id=9, device_ip=""), 0, device_ip="nonsense")
    assert len(find_problems(table, ranks=8)) == 4


@pytest.mark.parametrize("count", (1, 2, 4, 8, 16))
def test_tables_that_are_right(count: int) -> None:
    """Nothing is said against one or two servers with any number of devices that HCCL takes."""
    one = RankTable((server("10.1.0.1", count),))
    two = RankTable((server("10.1.0.1", count), server("10.1.0.2", count, first_rank=count, net=1)))
    assert not find_problems(one, ranks=count)
    assert not find_problems(two, ranks=2 * count)
    assert not find_warnings(two)


def test_the_number_of_ranks() -> None:
    """A table for another RANK_SIZE is told so."""
    assert find_problems(TWO, ranks=8) == ["the table has 4 ranks, but 8 are expected (RANK_SIZE)"]


def test_ranks_against_the_servers_order() -> None:
    """HCCL takes any order; MindSpore wants the string order of server_id, so that is a warning."""
    table = RankTable((server("10.0.0.9"), server("10.0.0.10", first_rank=2, net=1)))
    assert not find_problems(table)
    assert "string order of server_id" in find_warnings(table)[0]


# reading

GOOD: dict[str, Any] = json.loads(TWO.to_json())


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a good table's JSON after `change`."""
    document = json.loads(json.dumps(GOOD))
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    (
        (b"[]", "a rank table is a JSON object, not a list"),
        (b"3", "a rank table is a JSON object, not a number"),
        (b"{}", "server_list must be a list, not absent"),
        (changed(lambda d: d.update(version="1.2")), '1.0", not "1.2"; 1.2 is for Atlas A3'),
        (changed(lambda d: d.pop("version")), 'version must be "1.0", not absent'),
        (changed(lambda d: d.update(status="initializing")), 'status must be "completed", not "initializing"'),
        (changed(lambda d: d.update(server_count="1")), 'server_count must be "2", the length of server_list, not "1"'),
        (changed(lambda d: d.update(server_count=2)), 'server_count must be "2", the length of server_list, not 2'),
        (changed(lambda d: d.update(server_list={})), "server_list must be a list, not an object"),
        (changed(lambda d: d["server_list"].append(None)), "server_list[2] must be an object, not absent"),
        (changed(lambda d: d["server_list"][1].pop("device")), "server_list[1]: device must be a list, not absent"),
        (
            changed(lambda d: d["server_list"][0].update(server_id=7)),
            "server_list[0]: server_id must be a string, not 7",
        ),
        (
            changed(lambda d: d["server_list"][0]["device"][1].update(rank_id=1)),
            'server_list[0].device[1]: rank_id must be a number in a string, as "0", not 1',
        ),
        (
            changed(lambda d: d["server_list"][0]["device"][1].update(device_id="x")),
            'server_list[0].device[1]: device_id must be a number in a string, as "0", not "x"',
        ),
        (
            changed(lambda d: d["server_list"][0]["device"][1].update(device_ip=None, rank_id="-1")),
            "server_list[0].device[1]: device_ip must be a string, not absent",
        ),
    ),
)
def test_malformed_tables(content: bytes, why: str) -> None:
    """A value of the wrong kind is told with its place in the file."""
    _, problems = parse(content, "table.json")
    assert any(why in problem for problem in problems), problems


@pytest.mark.parametrize(
    "content", (b"", b"{", b'{"version": "1.0",}', b"\xff\xfe\xfa", b"[" * 100_000, b"rank_table_file: x")
)
def test_no_json(content: bytes, tmp_path: Path) -> None:
    """What is no JSON is bad input, with the file's name."""
    path = tmp_path / "table.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"table\.json.*not JSON"):
        inspect(path)


def test_unreadable(tmp_path: Path) -> None:
    """A missing file, or a directory, is bad input."""
    for path in (tmp_path, tmp_path / "absent.json"):
        with pytest.raises(BadInputError, match="cannot be read"):
            read(path)


def test_what_hand_made_tables_leave_out(tmp_path: Path) -> None:
    """host_nic_ip, and on one server device_ip, may be absent; unknown keys are none of HCCL's business."""
    path = tmp_path / "hand.json"
    device = {"device_id": "0", "rank_id": "0", "note": "x"}
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "server_count": "1",
                "server_list": [{"server_id": "a", "device": [device]}],
                "status": "completed",
            }
        )
    )
    assert read(path) == RankTable((Server("a", (Device(0, "", 0),)),))


def test_the_name_must_end_in_json(tmp_path: Path) -> None:
    """HCCL looks at the name."""
    path = tmp_path / "table.txt"
    path.write_text(TWO.to_json())
    with pytest.raises(RefusedError, match=r"table\.txt: HCCL takes files whose name ends in \.json only"):
        read(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["device", "rank_id", "x"]), inner),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(json_values, st.sampled_from(["version", "server_count", "server_list", "status"]))
def test_any_json_is_judged(value: object, key: str) -> None:
    """Whatever JSON a file holds is read or has its problems listed; nothing else is raised."""
    table, problems = parse(changed(lambda d: d.update({key: value})), "table.json")
    assert problems or (table is not None and json.loads(table.to_json())["server_list"] is not None)


# merging


def test_merge_sorts_by_string_and_renumbers(tmp_path: Path) -> None:
    """Server 10.0.0.10 is before 10.0.0.9; ranks follow; the arguments' order does not count."""
    nine = RankTable((server("10.0.0.9", net=9),))
    ten = RankTable((server("10.0.0.10", net=10),))
    merged = merge([nine, ten])
    assert [s.server_id for s in merged.servers] == ["10.0.0.10", "10.0.0.9"]
    assert [d.rank_id for d in merged.devices] == [0, 1, 2, 3]
    assert [d.device_ip for d in merged.devices] == ["10.0.10.1", "10.0.10.2", "10.0.9.1", "10.0.9.2"]
    assert merge([ten, nine]).to_json() == merged.to_json()
    assert write(merged, tmp_path / "new").name == "hccl_2s_4p.json"
    assert read(tmp_path / "new" / "hccl_2s_4p.json") == merged
    assert not find_warnings(merged)


def test_merge_of_merged_tables() -> None:
    """Tables that are merged already can be merged further, to the same result as all at once."""
    a, b, c, d = (RankTable((server(f"10.0.0.{n}", net=n),)) for n in (1, 2, 3, 4))
    assert merge([merge([d, b]), merge([c, a])]) == merge([a, b, c, d])


def test_merge_keeps_a_servers_rank_order() -> None:
    """Within a server the ranks keep their order, however its list is sorted."""
    table = RankTable((Server("10.0.0.1", (Device(0, "10.0.0.1", 1), Device(1, "10.0.0.2", 0))),))
    assert [d.device_id for d in merge([table, RankTable((server("10.0.0.2", net=2),))]).devices[:2]] == [1, 0]


@pytest.mark.parametrize(
    ("tables", "why"),
    (
        ([server("10.0.0.1"), server("10.0.0.1")], "did you give the table of one server twice?"),
        ([server("127.0.1.1"), server("10.0.0.1", net=1)], "loopback"),
        ([server("10.0.0.1"), server("10.0.0.2")], "ranks 0 and 2 have the same device_ip"),
        ([server("10.0.0.1", 4), server("10.0.0.2", 2, net=1)], "same number of devices"),
        ([], "server_list is empty"),
    ),
)
def test_merges_refused(tables: list[Server], why: str) -> None:
    """A merged table keeps every rule or is not made."""
    with pytest.raises(RefusedError) as caught:
        merge([RankTable((one,)) for one in tables])
    assert why in str(caught.value)
