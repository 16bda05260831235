"""Which CPUs each process of a training runs on, as msrun's --bind_core has it (MindSpore 2.9's parallel/cluster)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby

SCHEDULER = "scheduler"

_WHO = re.compile(r"device\d{1,3}|scheduler", re.ASCII)
_CPUS = re.compile(r"\d{1,5}-\d{1,5}|\d{1,5}(?:,\d{1,5})*", re.ASCII)


@dataclass(frozen=True)
class Binding:
    """CPUs by `deviceN`, for the rank on that device, and `scheduler`; who is not named runs wherever there is room."""

    cpus: Mapping[str, str] = field(default_factory=dict)
    """Each as taskset takes it: `0-9` or `0-4,10`."""
    is_shared_out: bool = False
    """Whether glmd has shared the CPUs out; then ranks are told theirs in MSRUN_CPU_LIST, as by msrun."""

    def command(self, who: str, command: Sequence[str]) -> tuple[str, ...]:
        """Return the command that runs `command` on the CPUs of `who`."""
        cpus = self.cpus.get(who)
        return tuple(command) if cpus is None else ("taskset", "-c", cpus, *command)

    def environment(self, who: str) -> dict[str, str]:
        """Return what `who` is told of it."""
        cpus = self.cpus.get(who)
        return {"MSRUN_CPU_LIST": str(list(expanded(cpus)))} if self.is_shared_out and cpus is not None else {}


UNBOUND = Binding()
"""All processes run wherever there is room."""


def device(number: int) -> str:
    """Return who the rank on a device is."""
    return f"device{number}"


def named(wish: Mapping[str, Sequence[str]]) -> Binding:
    """Return what somebody wishes, in the form of msrun's: {"device0": ["0-9"], "scheduler": ["10,11"]}.

    Raises ValueError.
    """
    for who, parts in wish.items():
        if not _WHO.fullmatch(who):
            raise ValueError(f"{who!r} is neither deviceN nor scheduler")
        if not parts or not all(_CPUS.fullmatch(part) for part in parts):
            raise ValueError(f"{who}: {list(parts)} are no CPUs; write them as [0-9] or ['0,1,10']")
    return Binding({who: ",".join(parts) for who, parts in wish.items()})


def shared_out(devices: Sequence[int], cpus: Sequence[int], near: Mapping[int, Sequence[int]]) -> Binding:
    """Share `cpus` out among the ranks on all `devices` of the host, so that those of two jobs do not meet.

    Each gets as many: first of those that are `near` its device, then of those that are near none. Where it is not
    known of every device what is near, they are shared out in order. Nobody is bound where there are too few.
    """
    share_size = len(cpus) // len(devices) if devices else 0
    if not share_size:
        return UNBOUND
    if not all(near.get(number) for number in devices):
        shares = {number: cpus[share_size * place : share_size * (place + 1)] for place, number in enumerate(devices)}
    else:
        anyones = [cpu for cpu in cpus if not any(cpu in near[number] for number in devices)]
        free = list(cpus)
        shares = {}
        for number in devices:
            wanted = [cpu for cpu in free if cpu in near[number]] + [cpu for cpu in free if cpu in anyones]
            shares[number] = wanted[:share_size]
            free = [cpu for cpu in free if cpu not in shares[number]]
    return Binding({device(number): ranges(share) for number, share in shares.items() if share}, is_shared_out=True)


def expanded(cpus: str) -> tuple[int, ...]:
    """Return the numbers in `0-3,8`, as the kernel and taskset write them. Raises ValueError."""
    numbers: list[int] = []
    for part in filter(None, cpus.strip().split(",")):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)


def ranges(cpus: Sequence[int]) -> str:
    """Return `cpus`, in order, as `0-3,8`."""
    places = count()
    runs = [list(run) for _, run in groupby(sorted(cpus), lambda cpu: cpu - next(places))]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
