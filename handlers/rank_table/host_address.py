"""The address by which other servers know this host."""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROUTES = Path("/proc/net/route")
_ROUTE_UP = 0x1


@dataclass(frozen=True)
class HostAddress:
    """An IPv4 address, and what else it could have been where no default route decides."""

    ip: str
    interface: str
    others: tuple[str, ...] = ()


def host_address(routes: Path = _ROUTES) -> HostAddress | None:
    """Return the address of the default route's interface, else the first one that is up; None where there is none.

    Never a loopback or link-local address: a host that resolves its own name to 127.0.1.1, as Debian's do, would get
    the same server_id as every other. `routes` is the kernel's IPv4 routing table.
    """
    candidates = _candidates()
    chosen = _default_interface(routes)
    if chosen in candidates:
        return HostAddress(candidates[chosen][0], chosen)
    every = [(interface, ip) for interface, ips in sorted(candidates.items()) for ip in ips]
    if not every:
        return None
    interface, ip = every[0]
    return HostAddress(ip, interface, tuple(other for _, other in every[1:]))


def _candidates() -> dict[str, list[str]]:
    """Return the usable IPv4 addresses of each interface that is up."""
    up = {interface for interface, status in psutil.net_if_stats().items() if status.isup}
    found = {
        interface: [a.address for a in addresses if a.family is socket.AF_INET and _is_reachable(a.address)]
        for interface, addresses in psutil.net_if_addrs().items()
        if interface in up
    }
    return {interface: addresses for interface, addresses in found.items() if addresses}


def _is_reachable(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return not (ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast)


def _default_interface(routes: Path) -> str:
    """Return the interface of the default route with the smallest metric; empty where there is none.

    The table's columns (proc(5)): Iface Destination Gateway Flags RefCnt Use Metric Mask …, numbers in hexadecimal but
    for the metric.
    """
    try:
        lines = routes.read_text().splitlines()[1:]
    except OSError:
        return ""  # no /proc here: the caller goes by the interfaces alone
    fields = [line.split() for line in lines]
    defaults = [
        (int(row[6]), row[0])
        for row in fields
        if len(row) > 7 and int(row[1], 16) == 0 and int(row[7], 16) == 0 and int(row[3], 16) & _ROUTE_UP
    ]
    return min(defaults)[1] if defaults else ""
