"""Run glmd and add up the time in its system calls: python profiled.py FIGURES.json ARGUMENTS_OF_GLMD.

FIGURES.json gets, for each, seconds of wall time and of processor, summed over the threads.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from daemon.cli import main

CALLS = ("preadv", "pwrite", "fsync", "fdatasync")
spent = {name: [0.0, 0.0] for name in CALLS}
lock = threading.Lock()


def timed(name: str) -> Callable[..., object]:
    """Return what calls os.NAME and takes its time."""
    call = getattr(os, name)

    def wrapper(*arguments: object) -> object:
        wall, processor = time.perf_counter(), time.thread_time()
        try:
            return call(*arguments)
        finally:
            with lock:
                spent[name][0] += time.perf_counter() - wall
                spent[name][1] += time.thread_time() - processor

    return wrapper


def since(began: tuple[float, float]) -> list[float]:
    """Return the wall and the processor time since `began`."""
    return [time.perf_counter() - began[0], time.process_time() - began[1]]


for each in CALLS:
    setattr(os, each, timed(each))
figures, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:]
start = time.perf_counter(), time.process_time()
try:
    sys.exit(main())
finally:
    spent["all but the interpreter's start"] = since(start)
    figures.write_text(json.dumps(spent))
