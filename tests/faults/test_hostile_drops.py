"""Names and files that somebody drops to do harm: none reaches a terminal raw, none is followed, none is lost."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.audit import check_state
from daemon.serve.intake.claims import Claim, NotAFileError, claim, read_claimed, reject, snapshot
from handlers.errors import BadInputError
from handlers.unfinished import is_ignored
from tests.acceptance.house import CONFIG, House
from tests.faults.world import World

NOBODY = 65534
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028"
NAMES = (
    b"new\nline.yaml",
    b"..yaml",
    b"...yaml",
    b"--help.yaml",
    b"-rf.yaml",
    b" .yaml",
    b"a b\tc.yaml",
    b"$(reboot)`reboot`;reboot|&.yaml",
    b"'\"\\.yaml",
    b"%n%s{0}{x.__class__}.yaml",
    b"\xff\xfe\x80.yaml",
    b"n" * 250 + b".yaml",
    "名".encode() * 83 + b".yaml",
    ESCAPES.encode() + b".yaml",
    b"\r\x08\x08hidden.yaml",
    b"x.yaml.reason.txt",
    b"CON.yaml",
    b"0001-run",
    b"yaml",
    b"[red]markup[b].yaml",
)


def is_harmless(text: str) -> bool:
    """Whether nothing in `text` moves a cursor, colours, reorders or beeps."""
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a root with a real daemon over it."""
    house = House(tmp_path)
    yield house
    house.close()


def test_no_name_and_no_content_reaches_a_terminal_raw(house: House, tmp_path: Path) -> None:
    """Log, events, status, logs, check, reasons, and the line of `systemctl status`: all that people read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        told: list[str] = []
        house.daemon_environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        house.start()
        for number, name in enumerate(NAMES):
            assert not is_ignored(os.fsdecode(name)) or name.startswith(b".")
            place = os.fsencode(house.root / "inbox") + b"/" + name
            hidden = house.root / "inbox" / f".{number}"
            hidden.write_text(f'seed: "{ESCAPES}\n' if number % 2 else f"bad{number}: [")
            hidden.rename(os.fsdecode(place))
        (house.root / "inbox" / f"{ESCAPES}good.yaml").write_text(
            CONFIG.format(data=house.data, devices="[0,2)").replace("glm-6b", "glm")
        )
        taken = [name for name in NAMES if not is_ignored(os.fsdecode(name))]

        def are_over() -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    told.append(systemd.recv(65536).decode())
            jobs = house.jobs()
            return len(jobs) == len(taken) + 1 and all(job.state.is_over for job in jobs)

        house.wait(are_over, "all to be over")
    assert any("good" in text for text in told)
    texts = {"systemd": "\n".join(told), "log": house.log.read_text()}
    good = next(job for job in house.jobs() if job.state is not State.REJECTED)
    bad = next(job for job in house.jobs() if job.state is State.REJECTED)
    for words in (("status", "--all"), ("status", str(good.id)), ("status", str(bad.id)), ("logs", str(good.id))):
        done = house.run(*words)
        texts[" ".join(words)] = done.stdout + done.stderr
    for path in (house.root / "rejected").glob("*.reason.txt"):
        if path.name != "x.yaml.reason.txt":  # that one is a rejected file, as it was dropped
            texts[path.name] = path.read_text()
    dropped = tmp_path / f"{ESCAPES}.yaml"
    dropped.write_text(f'seed: "{ESCAPES}\n')
    done = house.run("check", str(dropped))
    assert done.returncode == 2
    texts["check"] = done.stdout + done.stderr
    assert {where: text for where, text in texts.items() if not is_harmless(text)} == {}
    house.stop()
    assert [str(one) for one in check_state(Root(house.root))] == []
    rejected = {path.name for path in (house.root / "rejected").iterdir()}
    assert {os.fsdecode(name) for name in taken} <= rejected


def test_links_bits_and_owners_do_not_come_along(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's files are new ones: not the dropper's inode, bits, or what he may still write into."""
    with World(quick, monkeypatch) as world:
        elsewhere = quick / "elsewhere.yaml"
        world.drop("run.yaml")
        os.link(world.root.inbox / "run.yaml", elsewhere)
        if os.geteuid() == 0:  # who else may not give files away
            os.chown(elsewhere, NOBODY, NOBODY)
        elsewhere.chmod(0o6777)
        world.turn_until(lambda: world.are_over(1), "the job to be over")
        elsewhere.write_text("changed afterwards")
        for name in ("submitted.yaml", "config.yaml"):
            status = (world.root.jobs / "0001-run" / name).stat()
            assert stat.S_IMODE(status.st_mode) == 0o640
            assert (status.st_uid, status.st_nlink) == (os.geteuid(), 1)
            assert status.st_ino != elsewhere.stat().st_ino
        assert "changed" not in (world.root.jobs / "0001-run" / "submitted.yaml").read_text()


@pytest.mark.root
@pytest.mark.parametrize(("kind", "major", "minor"), ((stat.S_IFCHR, 1, 5), (stat.S_IFBLK, 7, 77)))
def test_a_device_is_not_read(tmp_path: Path, kind: int, major: int, minor: int) -> None:
    """Opening one may rewind a tape, and reading /dev/zero has no end."""
    root = Root(tmp_path)
    root.create()
    try:
        os.mknod(root.inbox / "run.yaml", kind | 0o666, os.makedev(major, minor))
    except PermissionError:
        pytest.fail("this test needs root with CAP_MKNOD; pytest -m 'not root' leaves it out")
    taken = claim(root.inbox / "run.yaml", root.claims)
    assert taken is not None
    with pytest.raises(NotAFileError, match="a device"):
        read_claimed(taken, 1000)


RACER = """
    import contextlib, itertools, os, sys
    inbox, secret = sys.argv[1:]
    own = os.path.join(inbox, ".own")
    def plain(path, letter):
        with open(path, "w") as stream:
            stream.write(letter * 5000)
    for number in itertools.count():
        with contextlib.suppress(OSError):
            hidden = os.path.join(inbox, f".{number}")
            match number % 6:
                case 0: plain(hidden, "a")
                case 1: os.symlink(secret, hidden)
                case 2: os.mkfifo(hidden)
                case 3: os.mkdir(hidden)
                case 4: plain(hidden, "b"); os.link(hidden, own)
                case 5: os.symlink(inbox, hidden)
            os.rename(hidden, os.path.join(inbox, "x.yaml"))
        with contextlib.suppress(OSError):
            plain(own, "c")  # writes on into what may have been taken
        with contextlib.suppress(OSError):
            os.unlink(own)
        if number % 7 == 0:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(inbox, "x.yaml"))
"""


def test_a_race_for_a_name_wins_nothing(quick: Path) -> None:
    """For some seconds a process swaps files, links, FIFOs and directories under one name while they are claimed."""
    root = Root(quick / "root")
    root.create()
    secret = quick / "secret"
    secret.write_text("secret " * 700)
    ends: Counter[str] = Counter()
    racer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(RACER), root.inbox, secret])
    try:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            taken = claim(root.inbox / "x.yaml", root.claims)
            if taken is not None:
                ends[_end(taken, root)] += 1
            assert racer.poll() is None
    finally:
        racer.kill()
        racer.wait()
    assert list(root.claims.iterdir()) == []
    assert len(list(root.rejected.glob("*.reason.txt"))) == ends.total() - ends["taken"]
    for path in root.jobs.iterdir():
        content = path.read_text()
        assert "secret" not in content
        assert len(content) in {0, 5000}
        assert len(set(content)) <= 1
    for path in root.rejected.glob("*.reason.txt"):
        assert "secret secret" not in path.read_text()
    assert secret.read_text() == "secret " * 700
    assert {"taken", "NotAFileError"} <= set(ends), ends


def _end(taken: Claim, root: Root) -> str:
    try:
        content = read_claimed(taken, 10_000)
    except BadInputError as error:
        reject(taken, root.rejected, str(error))
        return type(error).__name__
    snapshot(taken, content, root.jobs / taken.token)
    return "taken"
