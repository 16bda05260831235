"""The daemon: one loop that waits, looks at everything, takes every step that can be taken, and waits again."""

import contextlib
import signal
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

import structlog

from daemon.core.checking import rules
from daemon.core.database import StoreError, with_remedy
from daemon.core.error_codes import code_of
from daemon.core.may_pass import may_pass
from daemon.core.request import RequestRefusedError
from daemon.core.root import Root
from daemon.core.settings import Settings, SettingsError, load_settings
from daemon.core.states import OVER, State
from daemon.core.store import Store
from daemon.core.temporaries import sweep
from daemon.serve.answers import Answers
from daemon.serve.daemon_file import DaemonFile
from daemon.serve.holding import Holding
from daemon.serve.intake.alarms import Alarms
from daemon.serve.intake.drops import Intake
from daemon.serve.intake.inbox import Inbox
from daemon.serve.intake.nightly import Cycles
from daemon.serve.intake.room import Room
from daemon.serve.intake.source import Clock, Moment, WorkSource
from daemon.serve.intake.trees import WatchedTrees
from daemon.serve.jobs.pipeline import Pipeline
from daemon.serve.jobs.promotion_requests import PromotionRequests
from daemon.serve.jobs.pruning import Pruner
from daemon.serve.jobs.requests import Requests
from daemon.serve.jobs.results import Results
from daemon.serve.lock_holders import holders
from daemon.serve.loop import systemd as notify
from daemon.serve.loop.faults import SHOWN, Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Elsewhere, Lane, Workers
from daemon.serve.owning import refuse_unfit
from daemon.serve.steps.runner import choose_runner
from daemon.serve.watch.kind import Kind
from daemon.serve.watch.watching import DirectoryWatch
from daemon.serve.work import Work
from handlers import events
from handlers.printable import printable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LONGEST_WAIT = 60.0
LEAST_WAIT_IN_A_FAULT = 0.1
SWEPT = 100
"""Jobs that were the last to be over: what systemd says of a step is written when that has ended."""
MOST_NOTICES = 1000
"""How many hints of the watch one turn takes, so that a flood of them does not hold the rest up."""


class Service:
    """All rooms of the daemon, and the loop that gives each its turn."""

    def __init__(
        self,
        settings: Settings,
        settings_file: Path | None,
        root: Root,
        store: Store,
        waiting: Waiting,
        elsewhere: Elsewhere | None = None,
        clock: Clock = Moment.now,
    ) -> None:
        self._clock = clock
        self._settings = self._started_with = settings
        self._faults = Faults()
        self._settings_file = settings_file
        self._root = root
        self._store = store
        self._waiting = waiting
        self._workers = Workers(waiting.wake, elsewhere=elsewhere)
        self._runner = choose_runner(settings.runner)
        self.holding = Holding(root, store)
        self._daemon_file = DaemonFile(root.daemon, self.holding.has_root, self._faults, clock().wall)
        inbox = Inbox(root.inbox, settle=settings.inbox.settle)
        self._intake = Intake(inbox, root, store, self._workers, partial(rules, settings, root), self._faults)
        self._pipeline = Pipeline(settings, root, store, self._runner, waiting, self._workers, self._faults)
        self._requests = Requests(root, store, waiting)
        promotions = PromotionRequests(root, store, self._pipeline.links, self._workers, self._faults, self._requests)
        self._results = Results(root, store, self._workers, self._faults)
        self._pruner = Pruner(settings, root, store, waiting, self._workers, self._faults)
        self.answer = Answers(
            store, self._faults, self._requests, promotions, self._pruner, self._shown_line, self._read_settings_again
        ).answer
        self._work = Work(root, store, self._workers, self._faults)
        self._headline = ""
        self._is_announced = False
        self._due = 0.0
        self._notices: SimpleQueue[tuple[Path, Kind]] = SimpleQueue()
        self._rescan_due = 0.0
        self._stop = False
        self._reload = False
        self._open_rooms(settings)

    def _open_rooms(self, settings: Settings) -> None:
        """Make what depends on the settings; raises SettingsError and leaves the rooms that are open as they are."""
        submit = partial(self._workers.submit_apart, Lane.NIGHTS)
        allowed = (*settings.allowed_paths, self._root.path)
        cycles = Cycles(settings.nightly, self._root, self._store, self._faults, submit, allowed)
        alarms = Alarms(settings.nightly, self._store)
        room = Room(settings, self._root, self._store, submit, self._pruner.make_room)
        trees = WatchedTrees(
            settings.watch,
            self._root,
            self._store,
            self._workers,
            self._faults,
            observer=settings.inbox.observer,
            rescan=settings.inbox.rescan,
        )
        watch = DirectoryWatch(self._notice, observer=settings.inbox.observer)
        try:
            watch.add(self._root.inbox)
        except BaseException:
            watch.stop()
            raise
        self._sources: tuple[WorkSource, ...] = (self._intake, trees, cycles, alarms, room)
        self._trees, self._watch = trees, watch
        self._daemon_file.settings_read(settings.devices, cycles.to_come, self._clock().wall)
        if self._settings.inbox != settings.inbox:  # else what it knows of half-written files is kept
            self._intake.inbox = Inbox(self._root.inbox, settle=settings.inbox.settle)
        self._settings = self._pipeline.settings = self._pruner.settings = settings
        self._intake.rules = partial(rules, settings, self._root)
        self._requests.allowed = settings.cancel
        self._rescan_due = 0.0

    def run(self) -> None:
        """Turn until told to stop. Jobs that run go on; the next daemon adopts their shims."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signalled)
        try:
            self._pipeline.find_the_living()  # before anything gets a number or a device
            self._faults.attempt("temporaries", self._sweep)
            self.turn()
            log.info("daemon_ready", root=str(self._root.path), devices=self._settings.devices)
            while not self._stop:
                self._faults.contain("waiting", partial(self._waiting.wait, self._due - time.monotonic()))
                self.turn()
                self._faults.attempt("systemd", notify.watchdog)
            self._daemon_file.stop(self._clock().wall)
        finally:
            with contextlib.suppress(OSError):
                notify.stopping("jobs go on without the daemon")
            self._watch.stop()
            self._pipeline.close()
            log.info("daemon_stopped")

    def _sweep(self) -> None:
        """Remove what an earlier daemon left: of the many jobs that are over, all but the last had it removed then."""
        jobs = (*self._store.jobs(set(State) - OVER), *self._store.last_over(SWEPT))
        sweep(self._root, [job.directory(self._root.path).path for job in jobs])

    def turn(self) -> None:
        """Take every step that can be taken now; what fails and may pass is left for a later turn, and shown."""
        moment = self._clock()
        now = moment.monotonic
        self._due = now + LONGEST_WAIT
        if not self._faults.is_paused("store"):  # every room needs it: while it fails, nothing is to be tried
            try:
                if self._faults.attempt("root", self.holding.look):
                    self._faults.contain("turn", partial(self._turn, moment))
            except sqlite3.Error as error:
                if not may_pass(error):
                    raise
                others = holders(self._root.store)
                reason = f"{error}: {others} has it locked" if others else with_remedy(error, self._root.store)
                self._faults.failed("store", StoreError(reason))
            else:
                self._faults.passed("store")
                self._faults.contain("what is due next", partial(self._set_due, moment))
        self._daemon_file.turn(moment)
        if (again := self._faults.next_due(now)) is not None:
            # Not at once, although what is paused may be due: it would turn without a rest.
            self._due = min(max(self._due, now + LEAST_WAIT_IN_A_FAULT), now + again)
            self._rescan_due = min(self._rescan_due, now + again)  # what a fault has left lying is found by looking
        if (late := self._daemon_file.next_due(now)) is not None:
            self._due = min(self._due, now + late)
        self._show()

    # One turn

    def _turn(self, moment: Moment) -> None:
        now = moment.monotonic
        if self._reload:
            self._reload = False
            with contextlib.suppress(RequestRefusedError):  # logged where it is raised; the old settings stay
                self._read_settings_again()
        self._workers.deliver(self._take_result)
        self._faults.attempt("notices", self._take_notices)
        if now >= self._rescan_due:
            self._rescan_due = now + self._settings.inbox.rescan
            self._faults.attempt("watching", self._watch.refresh)
            self._intake.inbox.start_scan()
            self._faults.attempt("claims", self._intake.finish_leftovers)
            self._faults.attempt("latest", self._pipeline.links.look_around)
        for source in self._sources:
            self._faults.attempt(source.name, partial(source.turn, moment))
        self._faults.attempt("cancelling", self._requests.write_wishes)
        self._faults.attempt("jobs", self._pipeline.turn)
        self._faults.attempt("children", self._runner.reap)
        self._faults.attempt("progress", partial(self._work.look, now))
        self._faults.attempt("measuring", partial(self._results.turn, now))
        self._faults.attempt("retention", partial(self._pruner.turn, now, moment.wall))

    def _take_result(self, take: Callable[[], None]) -> None:
        """Take what a worker has come to; one that cannot be taken holds up no other."""
        if self._faults.contain("results", take):
            self._faults.passed("results")

    def _set_due(self, moment: Moment) -> None:
        now = moment.monotonic
        waits = [LONGEST_WAIT, self._rescan_due - now]
        if self._pipeline.is_waiting_for_a_shim:
            waits.append(0.1)
        looks = (
            self._pipeline.next_due(now),
            self._work.next_due,
            self._results.next_due(now),
            self._pruner.next_due(now),
            self.holding.next_due(now),
        )
        waits += [due - now for due in looks if due is not None]
        waits += [
            seconds
            for seconds in (
                *(source.next_due(moment) for source in self._sources),
                self._workers.next_due(now),
                notify.watchdog_interval(),
            )
            if seconds is not None
        ]
        self._due = now if not self._notices.empty() else now + max(0.0, min(waits))

    def _take_notices(self) -> None:
        for _ in range(min(self._notices.qsize(), MOST_NOTICES)):
            path, kind = self._notices.get_nowait()
            now = time.monotonic()  # for each: a long turn must not shorten the time in which a file settles
            if path == self._root.inbox:
                self._rescan_due = now
            else:
                self._intake.inbox.notice(path, kind, now)

    def _show(self) -> None:
        """Let `systemctl status` say what runs, after what fails at present."""
        parts = (self._faults.summary, self.holding.summary, self._unreadable(), self._work.summary)
        text = "; ".join(part for part in parts if part)
        tell = notify.status if self._is_announced else notify.ready
        is_known = text == self._headline and self._is_announced
        if not is_known and self._faults.attempt("systemd", partial(tell, text)):
            self._headline, self._is_announced = text, True

    def _shown_line(self) -> str:
        return self._headline

    def _unreadable(self) -> str:
        return printable("; ".join(self._store.unreadable_lines(SHOWN)))

    # What wakes it

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self._stop = True

    def _notice(self, path: Path, kind: Kind) -> None:
        """Take a hint of the watch, in one of its threads."""
        self._notices.put((path, kind))
        self._waiting.wake()

    def _read_settings_again(self) -> str:
        self._faults.attempt("systemd", notify.reloading)
        try:
            settings = load_settings(self._settings_file, self._root.path)
            refuse_unfit(settings, self._root)
            watch, trees = self._watch, self._trees
            self._open_rooms(settings)
            events.configure(format=settings.log.format.value, level=settings.log.level)
            self._faults.retry_all()
            watch.stop()
            trees.close()
        except (SettingsError, OSError, RuntimeError) as error:  # the last where no thread can be started
            log.error("settings_refused", code=code_of(error), reason=str(error))  # noqa: TRY400 - it says it all
            raise RequestRefusedError(f"glmd keeps its old settings: {error}", code_of(error)) from error
        finally:
            self._is_announced = False
            self._show()
        log.info("settings_read", devices=settings.devices)
        started_with = self._started_with
        kept = {"runner": settings.runner is not started_with.runner, "store": settings.store != started_with.store}
        others = " and ".join(f"`{name}`" for name, is_other in kept.items() if is_other)
        later = f"; {others} will change only when glmd starts again" if others else ""
        return f"glmd has read its settings again{later}"
