"""A live site is upgraded and goes back, step by step as docs has it; a backup is put back, too.

The version before is this glmd over a store as that one had it; see tests/unit/daemon/client/backup/test_earlier.py for
the stores of all versions before.
"""

import re
import shlex
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from daemon.core.migrations import VERSION, steps
from daemon.core.states import Job, State
from tests.acceptance.house import House
from tests.acceptance.test_living import agree
from tests.acceptance.test_old_store import drop

BEFORE = 6
"""The version of the store in the glmd before this one."""
PAGES = ("howto-upgrade.md", "howto-restore.md")
DOCS = "\n".join((Path(__file__).parents[2] / "docs" / page).read_text() for page in PAGES)


def make_older(house: House) -> None:
    """Let the store, which nobody has open, be as the version before had it."""
    since = "".join(steps()[version] for version in range(BEFORE + 1, VERSION + 1))
    with closing(sqlite3.connect(house.root / "glmd.db")) as store, store:
        renamed = re.findall(r"ALTER TABLE (\w+) RENAME TO", since)  # those were there before, by another name
        for table in set(re.findall(r"CREATE TABLE (\w+)", since)) - set(renamed):
            store.execute(f"DROP TABLE {table}")
        for table, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", since):
            store.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        store.execute(f"PRAGMA user_version={BEFORE}")


def version_of(store: Path) -> int:
    """Return of which version a store is."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def block(first: str) -> list[str]:
    """Return the commands of the block in the docs that begins with `first`."""
    (found,) = re.findall(rf"^    {re.escape(first)}.*\n(?:    .*\n)*", DOCS, re.MULTILINE)
    return [line.strip() for line in found.splitlines()]


def follow(house: House, lines: list[str], **paths: Path) -> None:
    """Do what the docs say, at this root: systemd's part is the house's, and installing is nobody's."""
    for line in lines:
        for command in re.split(r" && ", line.partition("#")[0].strip()):
            words = shlex.split(command.removeprefix("sudo "))
            words = [paths.get(word, word) for word in words]  # type: ignore[misc]
            match words:
                case [] | ["make", "install"] | ["cd", _]:
                    pass
                case ["systemctl", "stop", "glmd"]:
                    house.stop()
                case ["systemctl", "start", "glmd"]:
                    house.start()
                case ["systemctl", "restart", "glmd"]:
                    if house.is_up:
                        house.stop()
                    house.start()
                case ["glmd", "doctor", "--state"]:
                    agree(house)
                case ["glmd", *rest]:
                    done = house.run(*map(str, rest))
                    assert done.returncode == 0, done.stdout + done.stderr
                case _:
                    subprocess.run(words, check=True, cwd=house.root if house.root.exists() else house.root.parent)


def live_site(house: House) -> None:
    """Let job 1 be done and promoted, 2 train, 3 wait; and the daemon be one of the version before that has ended."""
    house.start()
    drop(house, "done", "[0,2)")
    house.until(State.DONE)
    house.environment(STANDIN_GATE=str(house.gate))
    house.stop()
    house.start()
    drop(house, "trains", "[0,2)")
    house.until(State.TRAINING, 2)
    gate(house)
    drop(house, "waits", "[0,2)")
    house.stop()
    make_older(house)


def gate(house: House) -> None:
    """Wait until the ranks of job 2 wait at the gate."""
    logs = [house.directory(2).rank_log(rank) for rank in (0, 1)]
    house.wait(lambda: all(log.exists() and "Epoch:[ 30/" in log.read_text() for log in logs), "the gate")


def drop_since(house: House) -> list[tuple[int, str, State, int]]:
    """Drop a file after the upgrade, and return what is known of each job then."""
    drop(house, "since", "[0,2)")
    house.wait(lambda: not any((house.root / "claims").iterdir()), "the claim to be a job, with all its files")
    return told(house)


def told(house: House) -> list[tuple[int, str, State, int]]:
    """Return what is known of each job."""
    return [(job.id, job.name, job.state, job.attempt) for job in house.jobs()]


def merged(house: House) -> Path:
    """Return what `latest` leads to, which has to be as it was written."""
    link = house.root / "latest" / "glm-6b"
    done = house.run("verify", str(link))
    assert done.returncode == 0, done.stdout
    return link.resolve()


def of(jobs: tuple[Job, ...], state: State) -> set[int]:
    """Return which jobs are in a state."""
    return {job.id for job in jobs if job.state is state}


def test_a_live_site_is_upgraded_and_goes_back(house: House, tmp_path: Path) -> None:
    """Jobs go on through both; what is done stays promoted; what came since is there again, and nothing runs twice."""
    live_site(house)
    (tmp_path / "backup").mkdir()
    before, shim = told(house), house.shim(2)
    paths = {"/srv/backup": tmp_path / "backup", "/var/glm": house.root}
    follow(house, block("sudo make install"), **paths)
    assert told(house) == before
    assert version_of(house.root / "glmd.db") == VERSION
    assert version_of(house.root / "glmd.db.1") == BEFORE
    (backup,) = (tmp_path / "backup").iterdir()
    assert version_of(backup / "glmd.db") == BEFORE
    since = drop_since(house)

    follow(house, block("sudo systemctl stop glmd && cd"), **paths)
    assert version_of(house.root / "newer" / "glmd.db") == VERSION
    assert told(house) == since
    assert house.shim(2) == shim
    assert shim.alive()
    assert merged(house) == house.directory(1).merged
    house.gate.touch()
    for number in (2, 3, 4):
        house.until(State.DONE, number)
    assert of(house.jobs(), State.DONE) == {1, 2, 3, 4}
    assert merged(house) == house.directory(4).merged, [job.reason for job in house.jobs()]
    agree(house)


def test_a_lost_root_is_put_back_from_the_backup_of_before(house: House, tmp_path: Path) -> None:
    """What was done is latest, as it was; what waited is done; what trained is done anew, or ends with a reason."""
    live_site(house)
    (tmp_path / "backup").mkdir()
    done = house.run("backup", "--to", str(tmp_path / "backup"))
    assert (done.returncode, done.stderr) == (0, "")
    (backup,) = (tmp_path / "backup").iterdir()
    house.start()
    house.run("cancel", "2")
    house.wait(lambda: house.job(2).state is State.CANCELLED, "the training to end")
    before = house.root / "jobs" / "0001-done" / "merged" / "filtered_transformed.ckpt"
    content = before.read_bytes()
    looked = house.run("restore", "--check", "--deep", str(backup))
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "1 done, 1 queued, 1 training" in looked.stdout
    assert f"sudo cp -a {backup} {house.root}" in looked.stdout

    house.gate.touch()
    paths = {
        "/srv/backup/glmd-backup-20261128T040000Z": backup,
        "/var/glm": house.root,
        "/var/glm.before": house.root.with_name("before"),
    }
    follow(house, [line for line in block("sudo systemctl stop glmd       ") if "doctor" not in line], **paths)
    house.start()
    assert before.read_bytes() == content
    for number in (2, 3):
        house.wait(lambda number=number: house.job(number).state.is_over, f"job {number} to be over")  # type: ignore[misc]
    assert (house.job(1).state, house.job(3).state) == (State.DONE, State.DONE)
    assert house.job(2).state is State.DONE or house.job(2).reason
    agree(house)


def test_the_copy_of_the_store_in_a_backup_does_what_glmd_db_1_does(house: House, tmp_path: Path) -> None:
    """Where that is gone: the directories are there, and newer than it."""
    live_site(house)
    (tmp_path / "backup").mkdir()
    assert house.run("backup", "--to", str(tmp_path / "backup")).returncode == 0
    (backup,) = (tmp_path / "backup").iterdir()
    house.start()
    since = drop_since(house)
    house.stop(signal.SIGKILL)
    for path in house.root.glob("glmd.db*"):
        path.unlink()
    subprocess.run(["cp", "-p", backup / "glmd.db", house.root / "glmd.db"], check=True)
    house.start()
    house.wait(lambda: told(house) == since, "all jobs to be there")
    house.gate.touch()
    for number in (2, 3, 4):
        house.until(State.DONE, number)
    agree(house)
