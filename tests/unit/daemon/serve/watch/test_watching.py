"""Promises of daemon.serve.watch.watching, on the real inotify and real directories."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
import structlog

from daemon.core.setting_sections import Observer
from daemon.serve.intake.inbox import Inbox
from daemon.serve.watch import watching
from daemon.serve.watch.kind import Kind
from daemon.serve.watch.watching import DirectoryWatch

NOBODY = 65534
PATIENCE = 20.0  # seconds; a test that waits this long has failed


class Notices:
    """Takes notices, and waits for them."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[tuple[Path, Kind]] = SimpleQueue()
        self.seen: list[tuple[Path, Kind]] = []

    def __call__(self, path: Path, kind: Kind) -> None:
        """Take one, in whatever thread."""
        self.queue.put((path, kind))

    def wait(self, path: Path, *kinds: Kind) -> list[Kind]:
        """Wait until one of `kinds` is said of `path`; return what was said of it until then."""
        deadline, said = time.monotonic() + PATIENCE, list[Kind]()
        while not said or said[-1] not in kinds:
            try:
                notice = self.queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                pytest.fail(f"{path}: none of {kinds} within {PATIENCE} s; the last ones: {self.seen[-9:]}")
            self.seen.append(notice)
            if notice[0] == path:
                said.append(notice[1])
        return said


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail the test after which there are more threads than before."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the directory that is watched; its parent is not."""
    directory = tmp_path / "inbox"
    directory.mkdir()
    return directory


@pytest.fixture
def notices() -> Notices:
    """Return what takes the notices of `watch`."""
    return Notices()


@pytest.fixture
def watch(notices: Notices) -> Iterator[DirectoryWatch]:
    """Return a watch with inotify, whatever file system the tests run on."""
    with DirectoryWatch(notices, observer=Observer.INOTIFY) as watch:
        yield watch


@pytest.fixture
def poll(notices: Notices) -> Iterator[DirectoryWatch]:
    """Return a watch that polls, often."""
    with DirectoryWatch(notices, observer=Observer.POLLING, poll_seconds=0.02) as watch:
        yield watch


def shell(command: str, directory: Path) -> None:
    """Do as a user at a shell does."""
    subprocess.run(["sh", "-euc", command], cwd=directory, check=True)


@pytest.mark.parametrize(
    ("command", "last"),
    (
        pytest.param("cp /etc/passwd a.yaml", Kind.CLOSED, id="cp"),
        pytest.param("cp /etc/passwd ../b; mv ../b a.yaml", Kind.MOVED_IN, id="mv"),
        pytest.param("echo old > a.yaml; cp a.yaml .new; mv .new a.yaml", Kind.MOVED_IN, id="editor"),
        pytest.param("cp /etc/passwd ../b; ln ../b a.yaml", Kind.CREATED, id="hard link"),
        pytest.param("ln -s /etc/passwd a.yaml", Kind.CREATED, id="symbolic link"),
        pytest.param("mkfifo a.yaml", Kind.CREATED, id="FIFO"),
        pytest.param("mkdir a.yaml", Kind.CREATED, id="directory"),
        pytest.param("mkdir ../d; mv ../d a.yaml", Kind.MOVED_IN, id="moved directory"),
        pytest.param("echo 1 > a.yaml; echo 2 >> a.yaml", Kind.CLOSED, id="in two goes"),
        pytest.param("echo 1 > a.yaml; rm a.yaml", Kind.DELETED, id="removed"),
    ),
)
def test_every_way_to_drop_a_file_is_told(
    watch: DirectoryWatch, notices: Notices, directory: Path, command: str, last: Kind
) -> None:
    """And the last thing said of it is what the settling needs to know."""
    watch.add(directory)
    shell(f"{command}; echo > end", directory)
    notices.wait(directory / "end", Kind.CLOSED)
    assert [kind for path, kind in notices.seen if path == directory / "a.yaml"][-1] is last


def test_a_slow_writer_is_waited_for(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """However long it pauses, as far as anybody knows: the file is due only after it was closed."""
    inbox, path = Inbox(directory, 1), directory / "a.yaml"
    watch.add(directory)
    with path.open("w") as stream:
        stream.write("half")
        stream.flush()
        for kind in notices.wait(path, Kind.MODIFIED):
            inbox.notice(path, kind, 0)
        assert inbox.settled(50) == []
        stream.write(" and whole")
    for kind in notices.wait(path, Kind.CLOSED):
        inbox.notice(path, kind, 50)
    assert inbox.settled(50.9) == []
    assert inbox.settled(51) == [path]


@pytest.mark.parametrize(
    "command",
    (
        "ln ../b a.yaml",
        "mkfifo a.yaml",
        "cp ../b a.yaml",
        "mv ../b a.yaml",
        "ln -s ../b a.yaml",
        "ln ../b a.yaml; rm ../b",
    ),
)
def test_what_is_dropped_whole_settles_soon(
    watch: DirectoryWatch, notices: Notices, directory: Path, command: str
) -> None:
    """A hard link is never closed, for it is never opened: it need not wait as for a lost event."""
    inbox = Inbox(directory, 1)
    watch.add(directory)
    (directory.parent / "b").write_text("a: 1")
    shell(f"{command}; echo > end", directory)
    notices.wait(directory / "end", Kind.CLOSED)
    for path, kind in notices.seen:
        inbox.notice(path, kind, 0)
    assert directory / "a.yaml" in inbox.settled(1)


def test_what_is_claimed_does_not_hold_up_what_follows(
    watch: DirectoryWatch, notices: Notices, directory: Path
) -> None:
    """Files moved out are not reported: watchdog would wait half a second for where they went."""
    watch.add(directory)
    path = directory / "a.yaml"
    path.touch()
    notices.wait(path, Kind.CLOSED)
    path.rename(directory.parent / "claimed")
    (directory / "b.yaml").touch()
    notices.wait(directory / "b.yaml", Kind.CLOSED)
    assert (path, Kind.DELETED) not in notices.seen


def test_odd_names_arrive_as_they_are(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """Newlines, undecodable bytes, and all that a name can hold."""
    watch.add(directory)
    for raw in (b"a\nb", b"caf\xe9", b"x" * 255):
        path = directory / os.fsdecode(raw)
        path.touch()
        notices.wait(path, Kind.CLOSED)


def test_a_tree_is_watched_as_it_grows(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """Directories that are made, or moved in with all that is in them; files in those are told, too."""
    watch.add(directory, recursive=True)
    shell("for i in $(seq 40); do mkdir -p $i/checkpoint/rank_0/deep; done", directory)
    shell("mkdir -p ../other/checkpoint/rank_0; mv ../other moved", directory)
    made = [directory / f"{number}/checkpoint/rank_0/deep" for number in range(1, 41)]
    moved = directory / "moved/checkpoint/rank_0"
    notices.wait(moved, Kind.CREATED, Kind.MOVED_IN)  # the last one, so the others are watched by now
    assert {path for path, _ in notices.seen} >= set(made)
    for path in (each / "31_4.ckpt" for each in (*made, moved)):
        path.touch()
        notices.wait(path, Kind.CLOSED)


def test_a_tree_tells_no_single_write(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """A checkpoint of 13 GB is written in thousands of them."""
    watch.add(directory, recursive=True)
    path = directory / "31_4.ckpt"
    with path.open("wb", buffering=0) as stream:
        for _ in range(100):
            stream.write(b"x")
    assert notices.wait(path, Kind.CLOSED) == [Kind.CREATED, Kind.CLOSED]


@pytest.mark.parametrize("recursive", (False, True))
def test_a_poll_finds_what_is_there(poll: DirectoryWatch, notices: Notices, directory: Path, recursive: bool) -> None:  # noqa: FBT001 - pytest passes by name
    """New, changed, replaced and removed files; how they came is not known, so all of it is SCAN."""
    poll.add(directory, recursive=recursive)
    assert poll.polled(directory)
    path = directory / "a.yaml"
    path.write_text("1")
    notices.wait(path, Kind.SCAN)
    path.write_text("22")
    notices.wait(path, Kind.SCAN)
    (directory.parent / "b").write_text("333")
    (directory.parent / "b").rename(path)
    notices.wait(path, Kind.SCAN)
    path.unlink()
    notices.wait(path, Kind.DELETED)
    assert {kind for _, kind in notices.seen} == {Kind.SCAN, Kind.DELETED}


def test_a_poll_follows_no_symbolic_link(poll: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """A link to the directory above would be a circle, and what is outside is nobody's business."""
    poll.add(directory, recursive=True)
    (directory / "loop").symlink_to("..")
    notices.wait(directory / "loop", Kind.SCAN)
    (directory / "a.yaml").touch()
    notices.wait(directory / "a.yaml", Kind.SCAN)
    assert {path.parent for path, _ in notices.seen} == {directory}


def test_a_symbolic_link_to_the_directory_serves(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """An inbox may live on another disk; paths are told as they were given."""
    link = directory.parent / "link"
    link.symlink_to(directory)
    watch.add(link)
    (directory / "a.yaml").touch()
    notices.wait(link / "a.yaml", Kind.CLOSED)


@pytest.mark.parametrize("how", ("watch", "poll"))
@pytest.mark.parametrize("remove", (Path.rmdir, lambda path: path.rename(path.with_name("elsewhere"))))
def test_a_directory_that_is_made_anew_is_watched_again(
    request: pytest.FixtureRequest, notices: Notices, directory: Path, how: str, remove: Callable[[Path], object]
) -> None:
    """Removed or renamed away; the refresh finds it, and asks to look at what has come meanwhile."""
    watch: DirectoryWatch = request.getfixturevalue(how)
    watch.add(directory)
    remove(directory)
    watch.refresh()
    directory.mkdir()
    (directory / "early.yaml").touch()
    watch.refresh()
    notices.wait(directory, Kind.SCAN)
    (directory / "a.yaml").touch()
    notices.wait(directory / "a.yaml", Kind.CLOSED, Kind.SCAN)


def test_a_removed_directory_is_told(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """At once, so that nobody has to wait for the next rescan to learn of it."""
    watch.add(directory)
    directory.rmdir()
    notices.wait(directory, Kind.SCAN)
    directory.mkdir()  # perhaps with the same inode, so that it looks like the old one
    watch.refresh()
    notices.wait(directory, Kind.SCAN)
    (directory / "a.yaml").touch()
    notices.wait(directory / "a.yaml", Kind.CLOSED)


def test_a_directory_may_be_missing(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """A tree that a training will make: said once, watched from when it is there."""
    tree = directory / "output"
    with structlog.testing.capture_logs() as logs:
        watch.add(tree, recursive=True)
        watch.refresh()
        watch.refresh()
    assert [entry["event"] for entry in logs] == ["not_watched"]
    tree.mkdir()
    watch.refresh()
    notices.wait(tree, Kind.SCAN)
    (tree / "a").touch()
    notices.wait(tree / "a", Kind.CLOSED)


def test_a_directory_may_be_unreadable(notices: Notices) -> None:
    """Said once, for each rescan would say it again; watched from when it is readable."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as parent, DirectoryWatch(notices, observer=Observer.INOTIFY) as watch:
        directory = Path(parent) / "inbox"
        if user == 0:  # whom no permission binds
            os.chown(parent, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            directory.mkdir(mode=0)
            with structlog.testing.capture_logs() as logs:
                watch.add(directory)
                watch.refresh()
            assert [entry["event"] for entry in logs] == ["not_watched"]
            directory.chmod(0o700)
            watch.refresh()
            (directory / "a.yaml").touch()
            notices.wait(directory / "a.yaml", Kind.CLOSED)
        finally:
            os.seteuid(user)


def test_a_refresh_without_a_reason_does_nothing(watch: DirectoryWatch, notices: Notices, directory: Path) -> None:
    """Rewatching would lose what happens in between."""
    watch.add(directory)
    with structlog.testing.capture_logs() as logs:
        watch.refresh()
    assert logs == []
    assert notices.queue.empty()


@pytest.mark.parametrize("recursive", (False, True))
def test_lost_events_are_told(watch: DirectoryWatch, notices: Notices, directory: Path, recursive: bool) -> None:  # noqa: FBT001 - pytest passes by name
    """The kernel's queue overflows while the reader is held up: a SCAN of the directory, and it goes on watching."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    watch.add(directory, recursive=recursive)
    assert watch._inotify is not None
    (directory / "b").touch()
    with watch._inotify._descriptor._lock:  # the reader takes it before each read
        for _ in range(limit):  # two events each: the queue twice over, for a first read is under way already
            (directory / "a").hardlink_to(directory / "b")
            (directory / "a").unlink()
    notices.wait(directory, Kind.SCAN)
    (directory / "after").touch()
    notices.wait(directory / "after", Kind.CLOSED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_whose_threads_died_is_made_anew(directory: Path) -> None:
    """Silence must not be taken for peace; here an error of ours kills the thread."""
    notices = Notices()

    def fail_once(path: Path, kind: Kind) -> None:
        notices(path, kind)
        if path.name == "poison":
            raise ZeroDivisionError

    with DirectoryWatch(fail_once, observer=Observer.INOTIFY) as watch:
        watch.add(directory)
        (directory / "poison").touch()
        notices.wait(directory / "poison", Kind.CREATED)
        assert watch._inotify is not None
        watch._inotify.join(PATIENCE)
        watch.refresh()
        notices.wait(directory, Kind.SCAN)
        (directory / "a.yaml").touch()
        notices.wait(directory / "a.yaml", Kind.CLOSED)


@pytest.mark.parametrize(
    ("observer", "started"),
    (
        *((Observer.INOTIFY, started) for started in range(3)),
        *((Observer.POLLING, started) for started in range(2)),
    ),
)
def test_where_no_thread_can_be_started_it_is_watched_later(
    directory: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch, observer: Observer, started: int
) -> None:
    """Whichever thread it is, by TasksMax=, RLIMIT_NPROC or memory: it is no error, and nothing half made is left."""
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    start, starts = threading.Thread.start, iter(range(started))

    def limited(thread: threading.Thread) -> None:
        if next(starts, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    with DirectoryWatch(notices, observer=observer, poll_seconds=0.05) as watch:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", limited)
            watch.add(directory)
            watch.refresh()
        watch.refresh()
        notices.wait(directory, Kind.SCAN)
        (directory / "a.yaml").touch()
        notices.wait(directory / "a.yaml", Kind.CLOSED, Kind.SCAN)
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208 - numbers


def test_a_network_file_system_is_polled(directory: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its type, and the log says so; the setting can overrule it."""
    monkeypatch.setattr(watching, "network_file_system", lambda _: "nfs4")
    with structlog.testing.capture_logs() as logs, DirectoryWatch(notices) as watch:
        watch.add(directory)
        assert watch.polled(directory)
    assert logs[0]["method"] == "polling"
    assert "nfs4" in logs[0]["reason"]
    with DirectoryWatch(notices, observer=Observer.INOTIFY) as watch:
        watch.add(directory)
        assert not watch.polled(directory)


def test_a_local_file_system_is_not_polled(directory: Path, notices: Notices) -> None:
    """Where inotify tells the truth, nobody looks in vain."""
    with structlog.testing.capture_logs() as logs, DirectoryWatch(notices) as watch:
        watch.add(directory)
        assert not watch.polled(directory)
    assert logs == [{"event": "watching", "log_level": "info", "path": directory, "method": "inotify"}]


WITHIN_LIMITS = """
import sys
import tempfile
from pathlib import Path
from queue import SimpleQueue
from daemon.core.setting_sections import Observer
from daemon.serve.watch.watching import DirectoryWatch

directory, late = Path(sys.argv[1]), sys.argv[2] == "late"
notices = SimpleQueue()
with DirectoryWatch(lambda *notice: notices.put(notice), observer=Observer.INOTIFY, poll_seconds=0.02) as watch:
    if not late:
        (directory / "a/b").mkdir(parents=True)
    watch.add(directory, recursive=True)
    if late:
        (directory / "a/b").mkdir(parents=True)
        while notices.get(timeout=20)[0] != directory:
            pass
        watch.refresh()
    assert watch.polled(directory)
    (directory / "a/b/c").touch()
    while notices.get(timeout=20)[0] != directory / "a/b/c":
        pass
"""


@pytest.mark.parametrize(
    ("limit", "value", "when", "setting"),
    (
        ("max_inotify_instances", 0, "first", "fs.inotify.max_user_instances"),
        ("max_inotify_watches", 0, "first", "fs.inotify.max_user_watches"),
        ("max_inotify_watches", 2, "first", "fs.inotify.max_user_watches"),
        ("max_inotify_watches", 2, "late", "fs.inotify.max_user_watches"),
    ),
)
def test_a_limit_of_inotify_leads_to_polling(directory: Path, limit: str, value: int, when: str, setting: str) -> None:
    """At the instance, the first watch, or one within a tree; the log names the setting.

    These are the limits that the kernel has for each user namespace, so that nobody else runs into them.
    """
    enter = f'echo {value} > /proc/sys/user/{limit}; exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-euc", enter, "sh", sys.executable, "-c", WITHIN_LIMITS]
    done = subprocess.run([*command, directory, when], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "inotify_limit_reached" in done.stdout
    assert setting in done.stdout


def test_a_directory_that_is_removed_from_the_watch_is_silent(
    watch: DirectoryWatch, notices: Notices, directory: Path
) -> None:
    """The others go on."""
    other = directory.parent
    watch.add(directory)
    watch.add(other)
    watch.remove(directory)
    (directory / "a").touch()
    (other / "b").touch()
    notices.wait(other / "b", Kind.CLOSED)
    assert {path for path, _ in notices.seen} == {other / "b"}


def test_a_directory_that_is_added_twice_is_watched_once(
    watch: DirectoryWatch, notices: Notices, directory: Path
) -> None:
    """Two settings may name one tree."""
    watch.add(directory, recursive=True)
    watch.add(directory, recursive=True)
    (directory / "a").touch()
    notices.wait(directory / "a", Kind.CLOSED)
    assert notices.seen == [(directory / "a", Kind.CREATED), (directory / "a", Kind.CLOSED)]
    watch.remove(directory)
    (directory / "b").touch()
    watch.stop()
    assert notices.queue.empty()


@pytest.mark.parametrize("observer", Observer)
def test_nothing_is_said_after_the_stop(directory: Path, notices: Notices, observer: Observer) -> None:
    """And no thread and no descriptor is left, however often it is stopped."""
    descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208 - only how many
    watch = DirectoryWatch(notices, observer=observer, poll_seconds=0.02)
    watch.add(directory)
    watch.stop()
    watch.stop()
    (directory / "a").touch()
    assert notices.queue.empty()
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)  # noqa: PTH208 - only how many
