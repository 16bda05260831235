"""A notifier that kills itself before the N-th write to its outbox, 0 for never: ROOT STATE CREDENTIALS N."""

import os
import signal
import sys
from multiprocessing.connection import wait
from pathlib import Path

from daemon.core.event_kinds import DEFAULT, EventKind
from daemon.face.notify.outbox import Outbox
from daemon.face.notify.plan import Destination, Files, Plan
from daemon.face.notify.process import Notifier
from daemon.face.words.language import Language

_WRITES = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")


def main(root: Path, state: Path, credentials: Path, last: int) -> None:
    """Turn until nothing is left to be sent, or the statement comes."""
    files = Files(None, root, credentials, state)
    kinds = DEFAULT | {EventKind.JOB_CANCELLED}
    hook = Destination("hook", "hook", "", Language.EN, True, kinds, "*", None, 0.0, None)
    plan = Plan(root, "npu01", "18:00-08:00", None, "", (hook,), "json", "error")
    with Outbox.open(state) as outbox:
        seen = 0

        def look(statement: str) -> None:
            nonlocal seen
            if not statement.startswith(_WRITES):
                return
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)

        notifier = Notifier(plan, outbox, files)
        outbox._connection.set_trace_callback(look)
        notifier.turn()
        while outbox.has_work() or notifier._children.links:
            wait(notifier._children.links, timeout=0.05)
            notifier.turn()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]))
