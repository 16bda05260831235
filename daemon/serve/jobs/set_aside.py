"""Failing a job over which glmd itself failed, by as little as may fail in its turn."""

from daemon.core.root import Root
from daemon.core.states import STEP_OF, Job, State
from daemon.core.store import Store
from daemon.serve.jobs.nodes_looks import look
from daemon.serve.loop.faults import Defect
from daemon.serve.loop.waiting import Waiting
from daemon.serve.steps.runner import forestall
from handlers.ckpt.files.durable import make_directory, publish_bytes


class SetAside:
    """Sets jobs aside. For the loop's thread."""

    def __init__(self, root: Root, store: Store, waiting: Waiting) -> None:
        self._root = root
        self._store = store
        self._waiting = waiting

    def __call__(self, job: Job, defect: Defect, after: str = "") -> None:
        """Fail `job`, and keep the traceback beside it; `after` is what came before.

        A shim that lives goes on, and its devices stay locked until it has ended; one that is late comes up no more.
        """
        now = self._store.readable(job.id)
        if now is None or now.state.is_over:
            return
        directory = now.directory(self._root.path)
        make_directory(directory.path)
        publish_bytes(directory.defect, defect.traceback.encode("utf-8", "backslashreplace"))
        if now.state in STEP_OF:
            step = STEP_OF[now.state]
            if now.nodes and (seen := look(now, self._root, step)).intent is not None:
                seen.ask_to_end("given up: a defect in glmd")
            forestall(directory.step(now.attempt, step), step, defect.reason, code=defect.CODE)
        # Freed by the next turn, when nothing is found to be on them.
        reason = f"{after}{defect.reason}; see {directory.defect}"
        self._store.move(now, State.FAILED, reason, defect.CODE, keep_devices=True)
        self._waiting.wake()
