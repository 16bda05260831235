"""How soon the inbox notices what is dropped, and what that costs: python benchmarks/inbox.py [FILES …].

Another process drops the files, as fast as it can, into a directory under $TMPDIR. The time from a file's close to its
being ready for the claim is shown without the settle time; CPU is this process's, with watchdog's threads.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from queue import Empty, SimpleQueue

import structlog

from daemon.core.setting_sections import Observer
from daemon.serve.intake.inbox import Inbox
from daemon.serve.watch.kind import Kind
from daemon.serve.watch.watching import DirectoryWatch

SETTLE = 1.0
RESCAN = 60.0
NOTICES_A_TURN = 1000

DROP = """
import sys, time
for number in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/{number}.yaml", "w") as stream:
        stream.write(str(time.monotonic()))
"""


def measure(observer: Observer, count: int) -> list[str]:
    """Drop `count` files and follow them until all are ready for the claim; return a row of the table."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        inbox, notices = Inbox(directory, SETTLE), SimpleQueue[tuple[Path, Kind]]()
        ready, turns, scans = dict[Path, float](), [0.0], 0
        with DirectoryWatch(lambda path, kind: notices.put((path, kind)), observer=observer) as watch:
            watch.add(directory)
            cpu, begin = time.process_time(), time.monotonic()
            with subprocess.Popen([sys.executable, "-c", DROP, name, str(count)]):
                rescan_due, scanning = begin + RESCAN, False
                while len(ready) < count:
                    now = time.monotonic()
                    due = inbox.next_due(now)
                    wait = min(rescan_due - now, RESCAN if due is None else due)
                    taken = _take(notices, 0.0 if scanning else max(0.0, wait))
                    turn = time.monotonic()
                    for path, kind in taken:
                        if path == directory:
                            rescan_due = turn
                        inbox.notice(path, kind, time.monotonic())
                    now = time.monotonic()
                    if now >= rescan_due:
                        inbox.start_scan()
                        rescan_due, scans = now + RESCAN, scans + 1
                    scanning = inbox.scan(now)
                    ready.update(dict.fromkeys(inbox.settled(now), time.monotonic()))
                    turns.append(time.monotonic() - turn)
            wall, cpu = time.monotonic() - begin, time.process_time() - cpu
        late = sorted(at - float(path.read_text()) - SETTLE for path, at in ready.items())
    return [
        *(observer, str(count), f"{wall:.2f}", f"{late[len(late) // 2]:.3f}", f"{late[-1 - len(late) // 100]:.3f}"),
        *(f"{cpu:.2f}", f"{cpu / count * 1e6:.0f}", f"{max(turns) * 1e3:.0f}", str(scans)),
    ]


def idle(observer: Observer, count: int, seconds: float = 10.0) -> float:
    """Return the CPU time, in ms a second, of watching a directory with `count` files in which nothing happens."""
    with tempfile.TemporaryDirectory() as name, DirectoryWatch(lambda *_: None, observer=observer) as watch:
        for number in range(count):
            (Path(name) / str(number)).touch()
        watch.add(Path(name))
        cpu = time.process_time()
        time.sleep(seconds)
        return (time.process_time() - cpu) / seconds * 1e3


def _take(notices: SimpleQueue[tuple[Path, Kind]], wait: float) -> list[tuple[Path, Kind]]:
    """Wait for the first notice; return it with those that are there already, at most NOTICES_A_TURN."""
    taken = []
    with contextlib.suppress(Empty):
        taken.append(notices.get(timeout=wait))
        while len(taken) < NOTICES_A_TURN:
            taken.append(notices.get_nowait())
    return taken


def _print(rows: Iterable[Iterable[str]], widths: tuple[int, ...]) -> None:
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=int, default=[1, 100, 1000, 10000])
    counts: list[int] = parser.parse_args().files
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    watched = (Observer.INOTIFY, Observer.POLLING)

    header = ("method", "files", "wall s", "p50 s", "p99 s", "CPU s", "µs/file", "longest turn ms", "scans")
    widths = tuple(max(8, len(cell)) for cell in header)
    _print([header], widths)
    _print((measure(observer, count) for observer in watched for count in counts), widths)
    print()
    _print([("method", "files", "idle CPU ms/s")], (8, 8, 13))
    _print(([o, str(count), f"{idle(o, count):.2f}"] for o in watched for count in (0, max(counts))), (8, 8, 13))


if __name__ == "__main__":
    main()
