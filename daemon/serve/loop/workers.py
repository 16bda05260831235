"""Threads for work that may block, in lanes, so that neither the loop nor one kind of work waits for another."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Protocol, TypeVar

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")
Delivery = Callable[[], None]

SLOW = 1.0
"""Seconds after which work no longer counts against its lane's limit: others need not wait for what hangs."""


class Lane(Enum):
    """Kinds of work that do not wait for each other."""

    CLAIMS = auto()
    """Checks of dropped files."""
    JOBS = auto()
    """Preparing jobs, and what follows when a step has ended."""
    STARTS = auto()
    """Starting shims."""
    NIGHTS = auto()
    """Reading nightly cycles' templates."""
    TREES = auto()
    """Following watched trees, each for as long as it is watched."""
    PROGRESS = auto()
    """How far trainings are."""
    RESULTS = auto()
    """What jobs that are over came to."""
    PRUNING = auto()
    """Removing what is not kept of them."""
    SLURM = auto()
    """Asking Slurm, which may take a minute not to answer."""

    @property
    def most(self) -> int:
        """How many pieces of work there are in it at once, slow ones included."""
        return 1000 if self is Lane.TREES else 40


class Elsewhere(Protocol):
    """Where work is done that touches strangers' paths; see daemon.serve.apart."""

    def run(
        self, key: Hashable, work: Callable[[], Result], on_report: Callable[[object], None] | None = None
    ) -> Result:
        """Do `work` and return or raise what comes of it."""

    def stop(self, key: Hashable) -> None:
        """Let `run` of this key come to its end now."""


class Here:
    """Does work in the thread that waits for it. It cannot be stopped."""

    def run(
        self, key: Hashable, work: Callable[[], Result], on_report: Callable[[object], None] | None = None
    ) -> Result:
        """Do `work`."""
        del key, on_report
        return work()

    def stop(self, key: Hashable) -> None:
        """Do nothing."""


@dataclass(eq=False)
class _Task:
    run: Callable[["_Task"], None]
    is_stopped: bool = False
    began: float = 0.0


@dataclass(eq=False)
class _Queue:
    waiting: deque[_Task] = field(default_factory=deque)
    running: set[_Task] = field(default_factory=set)

    def quick(self, now: float) -> list[_Task]:
        return [task for task in self.running if now - task.began < SLOW]


class Workers:
    """Runs each piece of work in a thread of its own, some of each lane at a time, and hands results to the loop.

    The threads are daemonic: work that hangs for ever cannot keep the daemon from stopping. All work must be harmless
    to do twice, since nothing of it survives a crash.
    """

    def __init__(self, wake: Callable[[], None], limit: int = 8, elsewhere: Elsewhere | None = None) -> None:
        self._wake = wake
        self._limit = limit
        self._elsewhere = elsewhere or Here()
        self._tasks: dict[Hashable, _Task] = {}
        self._lanes: defaultdict[Lane, _Queue] = defaultdict(_Queue)
        self._ended: deque[Delivery] = deque()

    def submit(
        self, lane: Lane, key: Hashable, work: Callable[[], Result], then: Callable[[Future[Result]], None]
    ) -> None:
        """Do `work` in a thread and call `then` from `deliver`. Nothing happens while work of the same `key` is on."""
        if key in self._tasks:
            return
        queue = self._lanes[lane]

        def run(task: _Task) -> None:
            future: Future[Result] = Future()
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - recorded in the future, which raises it in the loop
                future.set_exception(error)

            def deliver() -> None:
                del self._tasks[key]
                queue.running.discard(task)
                if not task.is_stopped:
                    then(future)

            self._ended.append(deliver)
            self._wake()

        self._tasks[key] = task = _Task(run)
        queue.waiting.append(task)
        self._start()

    def submit_apart(
        self,
        lane: Lane,
        key: Hashable,
        work: Callable[[], Result],
        then: Callable[[Future[Result]], None],
        on_report: Callable[[object], None] | None = None,
    ) -> None:
        """Do as `submit` does, for work that may touch any path: in a process apart.

        `on_report` is called in the loop, too, with what the work tells before its end.
        """

        def hand_over(value: object) -> None:
            if on_report is not None:
                self._ended.append(partial(on_report, value))
                self._wake()

        self.submit(lane, key, lambda: self._elsewhere.run(key, work, hand_over), then)

    def stop(self, key: Hashable) -> None:
        """End the work of `key`, whose `then` is not called any more. Until it has ended, `key` is not free."""
        if (task := self._tasks.get(key)) is None:
            return
        task.is_stopped = True
        for queue in self._lanes.values():
            if task in queue.waiting:
                queue.waiting.remove(task)
                del self._tasks[key]
                return
        self._elsewhere.stop(key)

    def deliver(self, contain: Callable[[Delivery], object] = lambda then: then()) -> None:
        """Call `then` of everything that has ended, each through `contain`, in the caller's thread.

        What one of them raises in spite of that is raised; the others' turn comes with the next call.
        """
        try:
            while self._ended:
                contain(self._ended.popleft())
        finally:
            self._start()

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds `deliver` may start what waits; None where only an end can make room."""
        full = [queue for lane, queue in self._lanes.items() if queue.waiting and len(queue.running) < lane.most]
        became_slow = (min(task.began for task in quick) for queue in full if (quick := queue.quick(now)))
        return min((max(0.0, began + SLOW - now) for began in became_slow), default=None)

    def _start(self) -> None:
        now = time.monotonic()
        for lane, queue in self._lanes.items():
            while queue.waiting and len(queue.quick(now)) < self._limit and len(queue.running) < lane.most:
                task = queue.waiting[0]
                task.began = now
                thread = threading.Thread(target=task.run, args=(task,), daemon=True, name="glmd-worker")
                try:
                    thread.start()
                except RuntimeError as error:  # "can't start new thread": TasksMax=, RLIMIT_NPROC, memory; it may pass
                    log.error("worker_not_started", reason=str(error), waiting=len(queue.waiting))  # noqa: TRY400
                    break
                queue.waiting.popleft()
                queue.running.add(task)
