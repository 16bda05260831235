"""Members of the group glm drop files and read results, and change nothing that is not theirs: three real users."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from tests.acceptance.house import CONFIG, STANDIN, House

pytestmark = pytest.mark.root

GLM, ALICE, BOB = 20001, 20002, 20003
BECOME = """
import ctypes, fcntl, json, os, socket, stat, sys, time  # as root: what it imports cannot be read later
from pathlib import Path
import daemon.core.control, daemon.client.submission, daemon.core.root
root, me = sys.argv[1], int(sys.argv[2])
os.setgroups([]); os.setgid(20001); os.setuid(me); os.umask(0o022)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self is ours again
os.chdir(root)
"""
ATTACK = """
done = []
def lock(path):
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
def attempt(what, path, work):
    try:
        work()
    except OSError:
        return
    done.append([what, path])
names = sorted(os.path.normpath(f"{place}/{name}") for place, *inner in os.walk(".") for name in sum(inner, []))
for name in [*names, "."]:
    path = Path(name)
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:  # glmd is at work
        continue
    bait = Path("inbox", f".bait-{me}")
    attempt("create", "inbox", bait.touch)
    if kind == stat.S_IFDIR:
        attempt("create", name, lambda: (path / f".new-{me}").touch())
        attempt("make", name, lambda: (path / f".dir-{me}").mkdir())
    if kind == stat.S_IFREG and path.name in {"lock", "glmd.lock", ".latest.lock"}:
        attempt("lock", name, lambda: lock(path))
    if kind == stat.S_IFREG:
        attempt("write", name, lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)))
        attempt("truncate", name, lambda: os.truncate(path, path.stat().st_size))
    if kind != stat.S_IFLNK:
        attempt("chmod", name, lambda: path.chmod(0o600))
        attempt("utime", name, lambda: os.utime(path, (1, 1)))
    attempt("rename", name, lambda: os.rename(path, f"inbox/.moved-{me}"))
    attempt("rename beside", name, lambda: os.rename(path, f"{name}.moved-{me}"))
    attempt("replace", name, lambda: os.replace(bait, path))
    attempt("remove", name, lambda: os.rmdir(path) if kind == stat.S_IFDIR else os.unlink(path))
print(json.dumps(done))
"""
READ = """
print(json.dumps([str(p) for p in Path().rglob("*") if p.is_file() and not os.access(p, os.R_OK)]))
"""
DROP = "daemon.client.submission.drop(sys.stdin.buffer.read(), sys.argv[3], daemon.core.root.Root(Path(root)))"
CANCEL = """
try:
    print(daemon.core.control.ask(Path(root), "cancel", 1))
except daemon.core.control.RequestRefusedError as error:
    print(error)
"""


def play(house: House, user: int, script: str, *arguments: str, given: str = "") -> str:
    """Run `script` as `user` in the root of `house`; return what it prints."""
    command = [sys.executable, "-c", BECOME + script, str(house.root), str(user), *arguments]
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Return a root that glmd has used, as its own user: for a job of alice's, and a file of hers that it rejected."""
    # Its user may look into the place of the tests' interpreter, and no more than that.
    as_glm = f"setpriv --reuid={GLM} --regid={GLM} --clear-groups --inh-caps=+dac_read_search"
    glmd = [*as_glm.split(), "--ambient-caps=+dac_read_search", sys.executable, "-m", "daemon.cli"]
    monkeypatch.setattr("tests.acceptance.house.GLMD", glmd)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place)
        path.chmod(0o755)
        house = House(path)
        python = path / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        shutil.copytree(STANDIN, path / "checkout")
        house.training |= {"python": str(python), "checkout": str(path / "checkout")}
        house.settings["cancel"] = "owner"
        house.environment(HF_TOKEN="hf_secret")  # noqa: S106 - that nobody reads it is what is tested
        house.devices.mkdir()
        for directory in (house.root, house.devices):
            os.chown(directory, GLM, GLM)
        house.root.chmod(0o2770)  # as an older glmd had it
        house.start()
        play(house, ALICE, DROP, "run.yaml", given=CONFIG.format(data=house.data, devices="[0,2)"))
        house.until(State.DONE)
        play(house, ALICE, DROP, "bad.yaml", given="run_mode: [finetune\n")
        house.until(State.REJECTED, 2)
        house.wait((house.root / "rejected" / "bad.yaml").exists, "the rejected file")
        try:
            yield house
        finally:
            house.close()


def attacked(house: House, user: int) -> list[tuple[str, str]]:
    """Return what a member of the group can do to what others made, and where."""
    done = [(what, path) for what, path in json.loads(play(house, user, ATTACK)) if f"-{user}" not in path]
    for own in (house.root / "inbox").glob(f".*-{user}"):
        shutil.rmtree(own) if own.is_dir() else own.unlink()
    return done


def test_members_change_their_own_files_alone(used: House) -> None:
    """Everything below the root is written to, locked, replaced, renamed and removed in vain, but for their own drops.

    A rejected file stays its owner's, who may still write into it; nobody else may, and not move it. So it is while the
    daemon is up, down, and killed.
    """
    for user, name in ((ALICE, ".alice.yaml"), (BOB, ".bob.yaml")):
        play(used, user, f"Path('inbox/{name}').write_text('mine')")
    before = {path for path in used.root.rglob("*") if path.parent != used.root / "inbox"}
    for user, own in ((BOB, {"inbox/.bob.yaml"}), (ALICE, {"inbox/.alice.yaml", "rejected/bad.yaml"})):
        done = attacked(used, user)
        assert {path for _, path in done} == {"inbox", *own}
        assert {what for what, path in done if path == "inbox"} == {"create", "make"}
        assert {what for what, path in done if path == "rejected/bad.yaml"} <= {"write", "truncate", "chmod", "utime"}
    assert all(os.path.lexists(path) for path in before)
    assert used.is_up
    for number in (signal.SIGKILL, signal.SIGTERM):
        used.stop(number)
        assert {path for _, path in attacked(used, BOB)} == {"inbox"}
        used.start()
        assert {job.id: job.state for job in used.jobs()} == {1: State.DONE, 2: State.REJECTED}


def test_a_root_of_before_is_brought_over(used: House) -> None:
    """Everybody of the group could write everywhere, and read the environments of trainings in their plans."""
    used.stop()
    plan, environment = used.directory().plan, used.directory().step(1, Step.TRAIN).environment
    record = json.loads(plan.read_bytes())
    given = json.loads(environment.read_bytes())["processes"]
    for process, its in zip(record["train"]["processes"], given, strict=True):
        process["environment"] = its
    plan.write_text(json.dumps(record))
    environment.unlink()
    with closing(sqlite3.connect(used.root / "glmd.db")) as store:
        store.execute("DROP INDEX jobs_by_cycle")
        for table, column in (
            ("jobs", "source"), ("jobs", "code"), ("jobs", "cycle"), ("jobs", "continues"), ("jobs", "nodes"),
            ("jobs", "ranks"), ("transitions", "code"),
            ("nightly", "timezone"), ("nightly", "since"),
        ):  # fmt: skip
            store.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for table in ("users", "results", "nightly_runs", "promotions", "prunings", "retention", "notices"):
            store.execute(f"DROP TABLE {table}")
        store.execute("PRAGMA user_version=2")
    for path in (used.root, *used.root.rglob("*")):
        if not path.is_symlink() and path.stat().st_uid == GLM:  # what glmd has made
            path.chmod(0o2770 if path.is_dir() else 0o660)
    holds = "print(b'hf_secret' in Path(sys.argv[3]).read_bytes())"
    assert play(used, BOB, holds, str(plan)) == "True\n"
    used.start()
    assert {path for _, path in attacked(used, BOB)} == {"inbox"}
    assert {job.id: job.state for job in used.jobs()} == {1: State.DONE, 2: State.REJECTED}
    hidden = {Path(path) for path in json.loads(play(used, BOB, READ))}
    assert plan.relative_to(used.root) in hidden
    assert used.directory().events.relative_to(used.root) not in hidden


def test_members_read_what_they_need_and_no_secret(used: House) -> None:
    """Logs, records, output and reasons; not the environments of trainings, nor files that are locked."""
    hidden = {Path(path) for path in json.loads(play(used, BOB, READ))}
    shards = {path for path in hidden if "checkpoint" in path.parts}  # MindSpore's own mode: its owner's alone
    assert {path.name for path in hidden - shards} <= {"environment.json", "lock", "glmd.lock", ".latest.lock"}
    secret = [path for path in used.root.rglob("*") if path.is_file() and b"hf_secret" in path.read_bytes()]
    assert sorted(path.name for path in secret) == ["environment.json", "glmd.yaml"]  # the latter is the test's own


def test_only_the_owner_may_cancel_where_the_settings_say_so(used: House) -> None:
    """Whose the dropped file was, at the time when it was taken."""
    assert f"job 1 is not {BOB}'s: {ALICE} dropped it" in play(used, BOB, CANCEL)
    assert "job 1 is done already" in play(used, ALICE, CANCEL)
