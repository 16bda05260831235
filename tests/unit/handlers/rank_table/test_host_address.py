"""Promises of handlers.rank_table.host_address."""

import socket
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from handlers.rank_table.host_address import HostAddress, host_address

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def route(interface: str, destination: str = "00000000", flags: str = "0003", metric: int = 0) -> str:
    """Return a line of the kernel's routing table."""
    mask = "00000000" if destination == "00000000" else "00FFFFFF"
    return f"{interface}\t{destination}\t010200C0\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Interfaces and their addresses, as psutil would report them; `down0` is down."""
    interfaces = {"lo": ["127.0.0.1", "127.0.1.1"], "down0": ["10.9.9.9"]}
    monkeypatch.setattr(
        psutil,
        "net_if_addrs",
        lambda: {
            name: [SimpleNamespace(family=socket.AF_INET, address=ip) for ip in ips] for name, ips in interfaces.items()
        },
    )
    monkeypatch.setattr(
        psutil, "net_if_stats", lambda: {name: SimpleNamespace(isup=name != "down0") for name in interfaces}
    )
    return interfaces


def test_this_host() -> None:
    """On a real host the answer, if any, is an address that is not the loopback's."""
    found = host_address()
    assert found is None or not found.ip.startswith("127.")


def test_the_default_route_decides(host: dict[str, list[str]], tmp_path: Path) -> None:
    """Of several interfaces the one of the cheapest default route that is up is taken."""
    host.update(docker0=["172.17.0.1"], eth0=["10.0.0.5"], eth1=["192.168.1.196"])
    table = tmp_path / "route"
    table.write_text(
        HEADER
        + route("docker0", "000011AC")
        + route("eth0", metric=200)
        + route("eth1", metric=100)
        + route("eth0", flags="0002", metric=1)
    )
    assert host_address(table) == HostAddress("192.168.1.196", "eth1")


def test_without_a_default_route_the_others_are_told(host: dict[str, list[str]], tmp_path: Path) -> None:
    """Where no route decides, the first address is taken and the rest is reported."""
    host.update(eth0=["10.0.0.5"], eth1=["192.168.1.196", "169.254.3.4"])
    assert host_address(tmp_path / "none") == HostAddress("10.0.0.5", "eth0", ("192.168.1.196",))


def test_never_a_loopback(host: dict[str, list[str]], tmp_path: Path) -> None:
    """A host that only has loopback, link-local and downed addresses has none for others."""
    host.update(usb0=["169.254.3.4"])
    table = tmp_path / "route"
    table.write_text(HEADER + route("lo") + route("down0"))
    assert host_address(table) is None
