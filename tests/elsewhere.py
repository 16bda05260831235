"""What stands for processes apart where a test has to be inside of the work, or is to run it step by step."""

import threading
from collections.abc import Callable, Hashable
from functools import partial
from typing import TypeVar

from daemon.core.setting_sections import WatchSettings
from daemon.serve.intake.tree_follower import TreeFollower, follow

Result = TypeVar("Result")


class InThread:
    """Does the work in the thread that waits for it, and follows trees by looking at them all the time."""

    def __init__(self, **_: object) -> None:
        self._stopped: dict[Hashable, threading.Event] = {}

    def start(self) -> None:
        """Do nothing: there is nothing to make ready."""

    def close(self) -> None:
        """Follow no tree any more."""
        for key in tuple(self._stopped):
            self.stop(key)

    def run(self, key: Hashable, work: Callable[[], Result], told: Callable[[object], None] | None = None) -> Result:
        """Do `work`."""
        if isinstance(work, partial) and work.func is follow and told is not None:
            self._follow(key, work.args[0], told)
        return work()

    def stop(self, key: Hashable) -> None:
        """Follow the tree of this key no more; other work goes on to its end."""
        if key in self._stopped:
            self._stopped[key].set()

    def _follow(self, key: Hashable, settings: WatchSettings, told: Callable[[object], None]) -> None:
        self._stopped[key] = stopped = threading.Event()
        follower = TreeFollower(settings)
        while not stopped.wait(0.05):
            follower.look_by(0.0)
            if (seen := follower.turn(1.0)) is not None:
                told(seen)
        raise InterruptedError
