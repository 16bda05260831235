"""Starting the daemon: the root as it should be, one daemon in it, and then the loop until somebody ends it."""

import contextlib
import sqlite3
import time
from pathlib import Path

import structlog

from daemon.core.control import Control
from daemon.core.living import living
from daemon.core.reading import unreadable
from daemon.core.root import Root
from daemon.core.settings import Settings, load_settings
from daemon.core.store import Store
from daemon.core.store_place import root_of
from daemon.serve.apart.processes import Apart
from daemon.serve.holding import refuse_beside_another
from daemon.serve.intake.source import Clock, Moment
from daemon.serve.loop.singleton import only_daemon
from daemon.serve.loop.waiting import Waiting
from daemon.serve.old_roots import bring_over
from daemon.serve.owning import Owning, refuse_unfit
from daemon.serve.service import Service
from handlers import events

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ROOT_EVERY = 0.5
"""Seconds between two looks for a root that is away."""


def serve(settings: Settings, *, settings_file: Path | None, clock: Clock = Moment.now) -> int:
    """Run the daemon until TERM or INT; return its exit code. At start-up raises OSError, StoreError, HandlerError."""
    events.configure(format=settings.log.format.value, level=settings.log.level)
    root = root_of(settings)
    if wait_for_the_root(root):
        settings = load_settings(settings_file, root.path)  # they may lie in it
        root = root_of(settings)
    root.create()
    refuse_unfit(settings, root)
    owning = Owning(root)
    owning.refuse_another()
    refuse_beside_another(root)
    with (
        only_daemon(root.lock) as lock,
        Store.open(root.store) as store,
        Waiting() as waiting,
        contextlib.closing(Apart()) as apart,
    ):
        owning.take()
        apart.start()
        bring_over(root)
        if store.number_above(highest := root.highest_number) and highest:
            log.warning("store_lacks_jobs", path=root.store, jobs=root.jobs, highest=highest)
        service = Service(settings, settings_file, root, store, waiting, apart, clock)
        with Control(root.kept, service.answer) as control:
            waiting.watch(control.fileno(), control.serve)
            service.holding.hold(lock, control, owning)
            try:
                service.run()
            except sqlite3.Error as error:  # of those that do not pass
                raise unreadable(root.store, error) from error
        owning.stop()
    return 0


def wait_for_the_root(root: Root) -> bool:
    """Wait while a root that was moved away is missing, and its ranks train on: a new one would stand in its way.

    Return whether it was waited for.
    """
    has_waited = False
    while not (root.jobs.is_dir() or (root.path.is_dir() and not root.store.exists())) and (found := living(root)):
        if not has_waited:
            runs = ", ".join(f"{one.run.label} (pid {one.pids[0]})" for one in found)
            log.error("root_is_away", path=root.jobs, reason=f"it is not there, and {runs} runs: put it back")
            has_waited = True
        time.sleep(ROOT_EVERY)
    return has_waited
