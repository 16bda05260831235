"""Watching directories: inotify where it tells the truth, polling where others write too. Events are hints, no more."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.polling import PollingObserverVFS

from daemon.core.setting_sections import Observer
from daemon.serve.watch.inotify import InotifyObserver
from daemon.serve.watch.kind import Kind
from handlers.host.file_systems import network_file_system

log = structlog.get_logger()

POLL_SECONDS = 2.0
"""Between two looks at a polled directory; a look at 10,000 files takes 0.1 s of CPU."""

Notice = Callable[[Path, Kind], None]

_SETTINGS = {  # what to raise when inotify_init(2) or inotify_add_watch(2) says no
    errno.EMFILE: "fs.inotify.max_user_instances",
    errno.ENFILE: "fs.file-max",
    errno.ENOSPC: "fs.inotify.max_user_watches",
}


@dataclass(eq=False)
class _Watched(FileSystemEventHandler):
    """One directory that is watched; also the handler of its events, called in the observer's thread."""

    directory: Path
    recursive: bool
    notice: Notice
    real: str = ""  # without symbolic links: of the last one, inotify would watch the link itself
    identity: tuple[int, int] | None = None  # of the directory that is watched; None when none is
    observer: BaseObserver | None = None
    handle: ObservedWatch | None = None
    limit: str | None = None  # why inotify cannot be used
    broken: bool = False  # has to be watched again
    missed: bool = False  # it was logged that it is not watched

    @property
    def polled(self) -> bool:
        return isinstance(self.observer, PollingObserverVFS)

    def dispatch(self, event: FileSystemEvent) -> None:
        source, destination = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
        match event.event_type:
            case "deleted" if source == self.real:
                self.broken = True
                self.notice(self.directory, Kind.SCAN)
            case "moved":  # one of both is empty when it is outside
                self._tell(source, Kind.DELETED)
                self._tell(destination, Kind.MOVED_IN)
            case "created" | "opened" | "closed" | "deleted" as kind:
                self._tell(source, Kind(kind))
            case "modified" if not event.is_directory:
                self._tell(source, Kind.MODIFIED)

    def refused(self, path: bytes, error: OSError) -> None:
        """Take note that inotify cannot watch `path`, which may be within this directory."""
        within = Path(os.fsdecode(path)).is_relative_to(self.real)
        if within and self.limit is None and error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
            self.limit = _SETTINGS.get(error.errno or 0, error.strerror)
            log.warning("inotify_limit_reached", path=self.directory, limit=self.limit)
            self.broken = True
            self.notice(self.directory, Kind.SCAN)

    def _tell(self, path: str, kind: Kind) -> None:
        if self.polled and kind is not Kind.DELETED:
            kind = Kind.SCAN  # a poll says that something is there, not how it came nor whether it is open
        if path.startswith(self.real + os.sep):
            self.notice(self.directory / path[len(self.real) + 1 :], kind)


class DirectoryWatch:
    """Calls `notice(path, kind)`, from threads of its own, for what happens in the directories that were added.

    `notice(directory, Kind.SCAN)` asks to `refresh`, and to look at everything in it: events were lost, or will be.

    A directory is watched with inotify; or polled every `poll_seconds` when it is on a network file system, where
    inotify does not see what other hosts write, or when inotify's limits are reached. The log says which and why.
    One that is missing, or was removed or replaced, is watched again from the first `refresh` at which it is there; so
    is one for which no thread could be started.
    """

    def __init__(
        self, notice: Notice, *, observer: Observer = Observer.AUTO, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._notice = notice
        self._setting = observer
        self._poll_seconds = poll_seconds
        self._watched: dict[Path, _Watched] = {}
        self._inotify: InotifyObserver | None = None
        self._polling: PollingObserverVFS | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def add(self, directory: Path, *, recursive: bool = False) -> None:
        """Watch `directory` (absolute), and, if `recursive`, all below it. Adding it again changes nothing."""
        if directory not in self._watched:
            self._watched[directory] = watched = _Watched(directory, recursive, self._notice)
            self._attach(watched)

    def remove(self, directory: Path) -> None:
        """Watch `directory` no longer."""
        self._detach(self._watched.pop(directory))

    def polled(self, directory: Path) -> bool:
        """Tell whether `directory`, which was added, is polled."""
        return self._watched[directory].polled

    def refresh(self) -> None:
        """Watch again what is no longer watched; to be called with every rescan."""
        if self._inotify is not None and not self._inotify.works():
            log.error("watching_broke_down", reason="a thread of the inotify observer has ended")
            self._end_inotify()
        for watched in self._watched.values():
            if watched.broken or watched.identity != _identity(watched.directory):
                self._detach(watched)
                if self._attach(watched):
                    self._notice(watched.directory, Kind.SCAN)

    def stop(self) -> None:
        """Stop watching; when this returns, `notice` is not called any more and no thread is left."""
        for observer in (self._inotify, self._polling):
            if observer is not None:
                self._end(observer)
        self._inotify = self._polling = None
        self._watched.clear()

    def _attach(self, watched: _Watched) -> bool:
        """Begin to watch; return whether that succeeded."""
        watched.broken = False
        watched.real = os.path.realpath(watched.directory)
        identity = _identity(watched.directory)
        try:
            os.scandir(watched.real).close()  # watchdog says nothing when it is refused for lack of permission
            reason = watched.limit or self._why_polling(watched.real)
            if reason is None:
                reason = self._attach_inotify(watched)
            if reason is not None:
                self._attach_polling(watched)
        except (OSError, RuntimeError) as error:  # the latter: "can't start new thread", which may pass
            if not watched.missed:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                log.warning("not_watched", path=watched.directory, reason=reason)
            watched.missed = True
            return False
        watched.identity, watched.missed = identity, False
        if reason is None:
            log.info("watching", path=watched.directory, method="inotify")
        else:
            log.info("watching", path=watched.directory, method="polling", seconds=self._poll_seconds, reason=reason)
        return True

    def _detach(self, watched: _Watched) -> None:
        if watched.observer is not None and watched.handle is not None:
            watched.observer.unschedule(watched.handle)
        watched.observer = watched.handle = watched.identity = None

    def _end(self, observer: BaseObserver) -> None:
        observer.stop()
        observer.join()
        for watched in self._watched.values():
            if watched.observer is observer:
                watched.observer, watched.handle, watched.broken = None, None, True

    def _end_inotify(self) -> None:
        """End the observer; what it watched is watched again by the next `refresh`."""
        if self._inotify is not None:
            self._end(self._inotify)
            self._inotify = None

    def _why_polling(self, real: str) -> str | None:
        match self._setting:
            case Observer.INOTIFY:
                return None
            case Observer.POLLING:
                return "setting inbox.observer"
            case Observer.AUTO:
                kind = network_file_system(Path(real))
                return kind and f"inotify does not see what other hosts write to {kind}"

    def _attach_inotify(self, watched: _Watched) -> str | None:
        """Watch with inotify, or return why it cannot be done."""
        try:
            if self._inotify is None:
                self._inotify = InotifyObserver(self._overflowed, self._refused)
            self._schedule(self._inotify, watched)
        except OSError as error:
            watched.refused(os.fsencode(watched.real), error)
            if watched.limit is None:
                raise  # it has been removed just now
        except RuntimeError:
            self._end_inotify()  # the watch that it was to schedule is half made
            raise
        if watched.limit is not None:
            self._detach(watched)
            watched.broken = False
        return watched.limit

    def _attach_polling(self, watched: _Watched) -> None:
        if self._polling is None:
            # lstat: a symbolic link is what it is, and cannot lead out of the tree or in circles.
            polling = PollingObserverVFS(os.lstat, os.scandir, polling_interval=self._poll_seconds)
            polling.start()
            self._polling = polling
        self._schedule(self._polling, watched)

    def _schedule(self, observer: BaseObserver, watched: _Watched) -> None:
        watched.observer = observer  # first, for the first event may be there before `schedule` returns
        try:
            watched.handle = observer.schedule(watched, watched.real, recursive=watched.recursive)
        except BaseException:
            watched.observer = None
            raise

    def _overflowed(self) -> None:
        log.warning("inotify_queue_overflowed", setting="fs.inotify.max_queued_events")
        for watched in list(self._watched.values()):
            self._notice(watched.directory, Kind.SCAN)

    def _refused(self, path: bytes, error: OSError) -> None:
        for watched in list(self._watched.values()):
            watched.refused(path, error)


def _identity(directory: Path) -> tuple[int, int] | None:
    """Tell which directory it is that has this path now."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
