"""The process that forks all processes apart: alone, with one thread, and with what they need imported once.

Its standard input is a socket to the daemon; each byte comes with a descriptor, for a new process to work on. When the
daemon ends, however that comes about, the socket ends; and with this process the kernel kills all that it forked.
"""

import gc
import importlib
import os
import signal
import socket
import sys
from multiprocessing.connection import Connection

from daemon.serve.apart import guarded
from handlers.host.prctl import die_with

PRELOADED = ("daemon.serve.jobs.follow_up", "daemon.serve.jobs.preflight", "daemon.serve.intake.tree_follower")
"""The work, so that no fork has to import it."""


def main() -> int:
    """Fork until the daemon has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the daemon
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel is to collect them
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # else each child's first collection copies all pages
    daemon = socket.socket(fileno=sys.stdin.fileno())
    while True:
        packet, descriptors, _, _ = socket.recv_fds(daemon, 1, 1)
        if not packet:
            return 0
        zygote = os.getpid()
        if os.fork() == 0:
            daemon.close()
            _be_apart(Connection(descriptors[0]), zygote)
        os.close(descriptors[0])


def _be_apart(link: Connection, zygote: int) -> None:
    code = 1
    try:
        die_with(zygote)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        guarded.work(link)
        code = 0
    except (EOFError, BrokenPipeError):  # the daemon has ended, or wants it no more
        pass
    finally:
        os._exit(code)  # not back into the loop above, whatever happens


if __name__ == "__main__":
    raise SystemExit(main())
