"""watchdog's inotify observer, which here also tells when it has missed something, and reads only what glmd needs."""

import warnings
from collections.abc import Callable

from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyFullEmitter
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

_NEEDED = (
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
)
# In one directory: who writes how long. Not what is moved out (each claim is): watchdog would hold back everything that
# follows for half a second, to see whether it is moved in again somewhere else.
_OF_A_DIRECTORY = _NEEDED | InotifyConstants.IN_OPEN | InotifyConstants.IN_MODIFY
# In a tree, watchdog has to see where directories go. Not each write: there are thousands in a checkpoint.
_OF_A_TREE = _NEEDED | InotifyConstants.IN_MOVED_FROM


class InotifyObserver(BaseObserver):
    """Runs from its making to its `stop`. Making it, or scheduling a watch, raises OSError when a limit is reached.

    Both raise RuntimeError where no thread can be started. One that could not be made has left nothing; one that could
    not schedule a watch may be in disorder, and is to be stopped.

    `overflowed()` is called when the kernel's queue was full and events were lost, `refused(path, error)` when `path`
    cannot be watched: watchdog by itself is silent of the latter for directories within a tree.
    """

    def __init__(self, overflowed: Callable[[], None], refused: Callable[[bytes, OSError], None]) -> None:
        # A directory that is made in a tree may be found twice, by its event and by the walk through its parent. That
        # does no harm, but watchdog warns of each.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._descriptor = _Descriptor(overflowed, refused)
        super().__init__(_Emitter, inotify_fd=self._descriptor)
        try:
            self._descriptor.start()
            self.start()
        except RuntimeError:  # "can't start new thread"
            self._descriptor.let_go()
            raise

    def works(self) -> bool:
        """Tell whether the threads live that every watch needs."""
        return self.is_alive() and self._descriptor.is_alive()

    def on_thread_stop(self) -> None:
        """End the watches' threads, then the one that reads the descriptor."""
        super().on_thread_stop()
        self._descriptor.let_go()


class _Emitter(InotifyFullEmitter):
    """Full: what is moved in from an unwatched directory is reported as moved, not as created."""

    def get_event_mask_from_filter(self) -> Mask:
        return Mask(_OF_A_TREE if self.watch.is_recursive else _OF_A_DIRECTORY)


class _Descriptor(InotifyFD):
    def __init__(self, overflowed: Callable[[], None], refused: Callable[[bytes, OSError], None]) -> None:
        super().__init__()
        self._overflowed = overflowed
        self._refused = refused

    def let_go(self) -> None:
        """End, whether it runs or was never started: only a thread that runs gives the descriptors back by itself."""
        if self.is_alive():
            self.stop()
            self.join()
        else:
            self._is_reading = False
            self.close()

    def handle_event(self, event: InotifyEvent) -> None:
        super().handle_event(event)
        if event.is_queue_overflow:  # after the watches of a tree were made again
            self._overflowed()

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            self._refused(path, error)
            raise
