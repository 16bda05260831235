"""Running commands for their wall time, processor time and peak memory, and reporting it."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

Command = Sequence[str | Path]

# A process's peak memory counts what its parent held when it forked, so that a small one must start it.
STOPWATCH = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
process.returncode = os.waitstatus_to_exitcode(status)
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
sys.exit(process.returncode)
"""


@dataclass(frozen=True)
class Measured:
    """A process's cost: seconds from start to end, seconds of processor, peak resident memory in bytes."""

    seconds: float
    processor: float
    peak: int


def measure(command: Command) -> Measured:
    """Run a command to its end; exits when it fails."""
    done = subprocess.run(
        [sys.executable, "-SE", "-c", STOPWATCH, *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))[:300]} failed:\n{done.stderr}")
    seconds, processor, peak = done.stdout.split()
    return Measured(float(seconds), float(processor), int(peak))


@dataclass(frozen=True)
class Contender:
    """A command and what makes ready for it, which is not timed."""

    prepare: Callable[[], object]
    command: Command


def in_turn(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Measured]]:
    """Run all commands one after the other, `rounds` times; dirty pages of one do not burden the next."""
    measured: dict[str, list[Measured]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            contender.prepare()
            os.sync()
            measured[name].append(measure(contender.command))
    return measured


def median(rounds: Sequence[Measured]) -> Measured:
    """Return the medians."""
    return Measured(
        statistics.median(each.seconds for each in rounds),
        statistics.median(each.processor for each in rounds),
        max(each.peak for each in rounds),
    )


def ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> float:
    """Return the median of the ratios of rounds: what slows the machine down for a while slows down both."""
    return statistics.median(one.seconds / two.seconds for one, two in zip(ours, theirs, strict=True))


@dataclass
class Report:
    """What was measured so far; rows are printed as they come."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def part(self, title: str) -> None:
        """Begin a part of the table."""
        load = os.getloadavg()[0]
        print(f"\n{title} (load {load:.1f})")
        print(f"  {'':52}{'seconds':>9}{'processor':>11}{'peak MiB':>10}", flush=True)
        self.rows.append({"part": title, "load": load})

    def cost(self, name: str, measured: Measured) -> None:
        """Add a command's cost."""
        peak = f"{measured.peak / 2**20:10.1f}" if measured.peak else ""
        print(f"  {name:52}{measured.seconds:9.2f}{measured.processor:11.2f}{peak}", flush=True)
        self.rows.append({"name": name, **asdict(measured)})

    def figure(self, name: str, value: float, target: str = "", *, met: bool | None = None) -> None:
        """Add a figure, with its target if it has one."""
        verdict = "" if met is None else f"   target {target}: {'met' if met else 'MISSED'}"
        print(f"  {name:52}{value:9.2f}{verdict}", flush=True)
        self.rows.append({"name": name, "value": value, "target": target or None, "met": met})

    def say(self, text: str) -> None:
        """Add a remark."""
        print(f"  {text}", flush=True)
        self.rows.append({"remark": text})
