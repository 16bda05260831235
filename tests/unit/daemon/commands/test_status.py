"""Promises of `glmd status`."""

import contextlib
import fcntl
import json
import os
import pty
import re
import sqlite3
import struct
import subprocess
import termios
from datetime import UTC, datetime

import pytest

from daemon.core import read_jobs
from daemon.core.control import Control
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.face.status import overview, overview_of_all
from handlers.gate.verdict import Rule, Verdict
from handlers.records.job_dir import Step
from handlers.records.job_plan import Role
from handlers.records.step_exit import Outcome, ProcessExit, StepExit
from tests.unit.daemon.commands.conftest import Site, environment
from tests.unit.daemon.commands.trained import record
from tests.unit.daemon.face.placed import runs

TRAINING = (State.PREPARING, State.TRAINING)
FAILED = (*TRAINING, State.FAILED)
STEP_LINE = "{ Epoch:[ 12/ 31], step:[    4/    4], loss:[3.456/3.456], per_step_time: 500ms, overflow cond: False, x"


def rows(printed: str) -> dict[str, str]:
    """Return the lines of the table by job."""
    return {line.split()[0]: line for line in printed.splitlines() if line.split()[:1] and line.split()[0].isdecimal()}


def test_the_table_says_state_devices_and_why(site: Site) -> None:
    """One line a job, with the reason of its state whole on a pipe."""
    why = "rank 3 on device 3 exited 1 first (09:14:07): ValueError: " + "long " * 60
    site.add("done_one", *TRAINING, State.MERGING, State.DONE)
    site.add("failed_one", *FAILED, reason=why, devices=(4, 5, 6, 7))
    done = site.glmd("status")
    assert done.returncode == 0
    table = rows(done.stdout)
    assert "done_one" in table["1"]
    assert "done " in table["1"]
    assert "[4,8)" in table["2"]
    assert why.strip() in table["2"]


def test_it_says_who_holds_devices_and_who_is_next(site: Site) -> None:
    """The queue is told in its order: priority, then arrival."""
    site.add("runs", *TRAINING)
    site.add("waits")
    site.add("is_next", priority=5)
    printed = site.glmd("status").stdout
    assert "devices held: [0,2) by job 1" in printed
    assert "2 of 2 waiting" in rows(printed)["2"]
    assert "1 of 2 waiting" in rows(printed)["3"]


def test_it_works_with_the_daemon_down_and_says_so(site: Site) -> None:
    """An empty root without a daemon is no error."""
    done = site.glmd("status")
    assert done.returncode == 0
    assert "does not run" in done.stdout
    assert "no jobs yet" in done.stdout


def test_it_says_that_the_daemon_runs(site: Site) -> None:
    """A daemon that answers is told from none."""
    with site.daemon():
        assert f"glmd runs at {site.root.path}" in site.glmd("status").stdout
        assert json.loads(site.glmd("status", "--json").stdout)["running"] is True
    assert json.loads(site.glmd("status", "--json").stdout)["running"] is False


def test_a_training_shows_epoch_loss_and_time_left(site: Site) -> None:
    """As its ranks' logs say."""
    job = site.add("a", *TRAINING)
    assert "before its first step" in rows(site.glmd("status").stdout)["1"]
    log = job.directory(site.root.path).rank_log(1)
    log.parent.mkdir(parents=True)
    log.write_text(STEP_LINE + "\n")
    assert "12/31 loss 3.456, 38s left" in rows(site.glmd("status").stdout)["1"]
    progress = json.loads(site.glmd("status", "--json").stdout)["jobs"][0]["progress"]
    assert progress == {
        "epoch": 12, "epochs": 31, "step": 4, "steps": 4, "loss": 3.456, "seconds_per_step": 0.5, "eta_seconds": 38.0,
    }  # fmt: skip


def test_a_loss_that_is_no_number_stays_json(site: Site) -> None:
    """NaN is not JSON: it is null there, and nan in the table."""
    job = site.add("a", *TRAINING)
    log = job.directory(site.root.path).rank_log(0)
    log.parent.mkdir(parents=True)
    log.write_text(STEP_LINE.replace("3.456", "nan") + "\n")
    assert "loss nan" in site.glmd("status").stdout
    printed = site.glmd("status", "--json").stdout
    assert json.loads(printed, parse_constant=pytest.fail)["jobs"][0]["progress"]["loss"] is None


def test_long_over_jobs_are_left_out_unless_asked_for(site: Site) -> None:
    """The newest ten that are over, and all that are not."""
    site.add("old_but_waits")
    for number in range(12):
        site.add(f"over_{number}", State.CANCELLED)
    printed = site.glmd("status").stdout
    assert set(rows(printed)) == {"1", *map(str, range(4, 14))}
    assert "2 older" in printed
    assert len(rows(site.glmd("status", "--all").stdout)) == 13


def test_a_long_queue_is_cut(site: Site) -> None:
    """The ten that are next, by priority and arrival, and how many more wait."""
    with Store.open(site.root.store) as store:
        for number in range(30):
            store.add(NewJob(str(number), f"waits_{number}", priority=number // 5))
    printed = site.glmd("status").stdout
    assert set(rows(printed)) == set(map(str, range(21, 31)))
    assert "1 of 30 waiting" in rows(printed)["26"]
    assert "… and 20 more wait; --all shows them" in printed.splitlines()
    told = json.loads(site.glmd("status", "--json").stdout)
    assert (told["queue"], told["waiting"]) == ([*range(26, 31), *range(21, 26)], 30)
    everything = json.loads(site.glmd("status", "--all", "--json").stdout)
    assert (len(everything["queue"]), len(everything["jobs"]), everything["waiting"]) == (30, 30, 30)
    assert len(rows(site.glmd("status", "--all").stdout)) == 30


def test_a_row_that_cannot_be_read_is_told(site: Site) -> None:
    """Beside all others."""
    site.add("good")
    site.add("odd", State.CANCELLED)
    with contextlib.closing(sqlite3.connect(site.root.store)) as connection, connection:
        connection.execute("UPDATE jobs SET devices = 'none' WHERE id = 2")
    for words in ((), ("--all",)):
        printed = site.glmd("status", *words).stdout
        assert set(rows(printed)) == {"1"}
        assert "job 2: its row in the store cannot be read: JSONDecodeError" in printed
        (told,) = json.loads(site.glmd("status", "--json", *words).stdout)["trouble"]
        assert told.startswith("job 2: its row in the store cannot be read: JSONDecodeError")


def test_the_work_is_that_of_what_is_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs are over or wait: rows of the store, and no directory of a job that does not train."""
    with Store.open(site.root.store) as store:
        for number in range(300):
            store.add(NewJob(str(number), "a"), State.QUEUED if number % 3 else State.REJECTED)
    read: list[int] = []
    job_of = read_jobs.job_of
    monkeypatch.setattr(read_jobs, "job_of", lambda row: read.append(row[0]) or job_of(row))
    monkeypatch.setattr("daemon.face.status.read_progress", lambda *_: pytest.fail("a log was read"))
    shown = overview(site.root.path, site.root.store)
    assert [status.job.id for status in shown.jobs] == sorted([*range(2, 16, 3), *range(3, 17, 3), *range(271, 300, 3)])
    assert len(read) == 20


def test_all_jobs_are_read_while_they_are_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page at a time, with the store open for that long only: who reads slowly keeps nobody from writing."""
    for name in "abcde":
        site.add(name)
    monkeypatch.setattr("daemon.face.status.PAGE", 2)
    opened: list[ReadStore] = []
    opens = ReadStore.open
    monkeypatch.setattr(ReadStore, "open", lambda path: opened.append(opens(path)) or opened[-1])
    shown = overview_of_all(site.root.path, site.root.store)
    assert len(opened) == 1
    assert [next(shown.jobs).job.id, next(shown.jobs).job.id] == [1, 2]
    assert len(opened) == 2
    with Store.open(site.root.store) as store:
        store.add(NewJob("f", "f"))
    assert [status.job.id for status in shown.jobs] == [3, 4, 5, 6]
    for each in opened:
        with pytest.raises(sqlite3.ProgrammingError):
            each.locks()


def test_json_has_the_documented_keys(site: Site) -> None:
    """docs/cli.md names them; programs rely on them."""
    site.add("a")
    told = json.loads(site.glmd("status", "--json").stdout)
    keys = ["root", "running", "devices", "queue", "jobs", "left_out", "trouble", "waiting", "notices"]
    assert list(told) == keys
    assert list(json.loads(site.glmd("status", "--json", "--all").stdout)) == keys
    keys = [
        "id", "name", "label", "state", "reason", "code", "attempt", "priority", "devices", "nodes", "ranks",
        "prefix", "cycle", "continues", "submitted", "changed", "directory", "progress",
    ]  # fmt: skip
    assert list(told["jobs"][0]) == keys
    detail = json.loads(site.glmd("status", "1", "--json").stdout)
    assert list(detail) == [
        *keys,
        "history",
        "paths",
        "steps",
        "training",
        "result",
        "disk",
        "verdict",
        "prunings",
        "slurm",
    ]
    assert list(detail["history"][0]) == ["at", "state", "attempt", "reason", "code"]


def test_json_has_what_programs_tell_a_reason_by(site: Site) -> None:
    """Of the job, and of each of its transitions; empty where nothing says it."""
    with Store.open(site.root.store) as store:
        job = store.add(NewJob("c", "run"))
        store.move(job, State.FAILED, "no rank table", "rank-table.missing")
    assert json.loads(site.glmd("status", "--json").stdout)["jobs"][0]["code"] == "rank-table.missing"
    told = json.loads(site.glmd("status", "1", "--json").stdout)
    assert (told["code"], [step["code"] for step in told["history"]]) == (
        "rank-table.missing", ["", "rank-table.missing"])  # fmt: skip


@pytest.mark.parametrize("text", ("1", "0001", "0001-run_glm_6b", "jobs/0001-run_glm_6b/"))
def test_a_job_can_be_named_in_several_ways(site: Site, text: str) -> None:
    """By its number or its directory's name, as tab completion gives it too."""
    site.add()
    done = site.glmd("status", text)
    assert done.stdout.startswith("0001-run_glm_6b: queued")


@pytest.mark.parametrize("text", ("2", "x", "0001-another", "99999999999999999999", "-5"))
def test_a_job_that_is_not_there_is_bad_input(site: Site, text: str) -> None:
    """Exit code 2 and a sentence."""
    site.add()
    done = site.glmd("status", "--", text)
    assert done.returncode == 2
    assert done.stderr.startswith("glmd: ")


def test_the_detail_tells_the_job_s_story(site: Site) -> None:
    """History with reasons, how each step ended, who failed first, and where the files are."""
    job = site.add("a", *FAILED, reason="rank 1 on device 1 exited 1 first (04:00:07): ValueError: no")
    directory = job.directory(site.root.path)
    directory.config.write_text("seed: 0\n")
    at = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    first = ProcessExit(
        role=Role.RANK,
        rank=1,
        device=1,
        pid=7,
        exit_code=1,
        signal=None,
        ended=at.replace(second=7),
        line="ValueError: no",
    )
    ended = StepExit(
        step=Step.TRAIN, outcome=Outcome.FAILED, reason=job.reason, first=first, started=at, ended=at.replace(minute=3)
    )
    record = directory.step(1, Step.TRAIN)
    record.path.mkdir(parents=True)
    ended.publish(record.exit)
    printed = site.glmd("status", "1").stdout
    assert [line.split()[2] for line in printed.partition("history\n")[2].splitlines()[:4]] == [
        "queued", "preparing", "training", "failed",
    ]  # fmt: skip
    assert "attempt 1, train: failed after 3m" in printed
    assert "first to fail: rank 1 on device 1, exit code 1, 04:00:07: ValueError: no" in printed
    assert str(directory.config) in printed
    steps = json.loads(site.glmd("status", "1", "--json").stdout)["steps"]
    assert (steps[0]["attempt"], steps[0]["first"]["rank"]) == (1, 1)


def test_a_job_of_slurms_says_where_it_is(site: Site) -> None:
    """Its number, state, partition, nodes and which ranks are on which; the table how many nodes and devices."""
    job = site.add("far", State.PREPARING, State.SUBMITTED, State.TRAINING, devices=(), nodes=2, ranks=4)
    runs(job, site.root.path)
    told = site.glmd("status", "1").stdout
    for name, text in (
        ("devices", "Slurm 2×2"), ("Slurm job", "4711"), ("Slurm says", "RUNNING"), ("partition", "npu"),
        ("nodes", "n[1-2]"), ("ranks", "n2: 0-1; n1: 2-3"),
    ):  # fmt: skip
        assert re.search(rf"^  {name} +{re.escape(text)}$", told, re.MULTILINE), name
    assert "starts about" not in told
    assert "Slurm 2×2" in site.glmd("status").stdout
    found = json.loads(site.glmd("status", "1", "--json").stdout)
    assert (found["nodes"], found["ranks"], found["devices"]) == (2, 4, [])
    assert (found["slurm"]["id"], found["slurm"]["ranks"]) == ("4711", {"n2": [0, 1], "n1": [2, 3]})


def test_a_reason_is_one_line_in_the_table_and_whole_in_the_detail(site: Site) -> None:
    """With its own line ends there, so that what points at a place in a file still does."""
    why = "a.yaml:172:19: model_parallel: 8 does not fit\n  172 |   model_parallel: 8\n      |               ^ 4 cards"
    site.add("a", State.FAILED, reason=why)
    table = site.glmd("status").stdout.splitlines()
    assert len(table) == 4
    assert table[-1].endswith("a.yaml:172:19: model_parallel: 8 does not fit; 4 cards"), (
        "nothing points into a quoted line"
    )
    detail = site.glmd("status", "1").stdout.splitlines()
    for number, line in enumerate(detail):
        if "does not fit" in line:
            column = line.index("a.yaml")
            assert [shown[column:] for shown in detail[number : number + 3]] == why.split("\n")
            assert not "".join(shown[:column] for shown in detail[number + 1 : number + 3]).strip()
    assert sum("does not fit" in line for line in detail) == 2  # why, and in the history
    assert json.loads(site.glmd("status", "--json").stdout)["jobs"][0]["reason"] == why


def test_it_says_where_a_rejected_file_lies(site: Site) -> None:
    """A rejected file has no directory of its own: who is to correct it looks for it."""
    with Store.open(site.root.store) as store:
        store.add(NewJob("c", "a"), State.REJECTED, "no")
    site.root.rejected.mkdir(exist_ok=True)
    assert f"rejected  {site.root.rejected}" in site.glmd("status", "1").stdout
    site.add("b")
    assert "files" not in site.glmd("status", "2").stdout


def test_a_damaged_record_is_said_not_hidden(site: Site) -> None:
    """An exit.json that is none: exit code 1, and which file."""
    job = site.add("a", *FAILED)
    record = job.directory(site.root.path).step(1, Step.TRAIN)
    record.path.mkdir(parents=True)
    record.exit.write_text("{")
    done = site.glmd("status", "1")
    assert done.returncode == 1
    assert str(record.exit) in done.stderr
    assert "Traceback" not in done.stderr


def test_names_and_reasons_cannot_drive_a_terminal(site: Site) -> None:
    """Control characters come out as escapes."""
    site.add("a\x1b[2J", State.FAILED, reason="no\r\x1b]0;title\x07\u202e")
    for arguments in ((), ("1",), ("--json",)):
        printed = site.glmd("status", *arguments).stdout
        assert "\x1b" not in printed
        assert "\x07" not in printed
        assert "\r" not in printed


def test_a_terminal_gets_colours_and_lines_that_fit(site: Site) -> None:
    """80 columns stay 80 columns, also with Chinese in the reason; NO_COLOR is heard."""
    site.add("a", *FAILED, reason="全量微调" * 40)

    def shown(**env: str) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        words = environment() | {"TERM": "xterm", "COLUMNS": "80"} | env
        subprocess.run(site.command("status"), stdin=theirs, stdout=theirs, timeout=60, check=True, env=words)
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                printed += chunk
        except OSError:  # the terminal is gone, and so is its last writer
            pass
        finally:
            os.close(ours)
        return printed.decode()

    line = next(line for line in shown().splitlines() if "failed" in line)
    assert "\x1b[31mfailed" in line
    plain = next(line for line in shown(NO_COLOR="1").splitlines() if "failed" in line)
    assert "\x1b" not in plain
    assert plain.endswith("…")
    assert sum(1 if char.isascii() or char == "…" else 2 for char in plain) <= 80


def test_a_busy_daemon_is_not_taken_for_none(site: Site) -> None:
    """It is there, and its jobs go on."""
    with Control(site.root.path, lambda _: ""):
        assert f"glmd is busy at {site.root.path}" in site.glmd("status").stdout
        assert json.loads(site.glmd("status", "--json").stdout)["running"] is True


def test_a_store_that_is_torn_is_one_line(site: Site) -> None:
    """However much of it can be read before: no traceback."""
    for _ in range(300):
        site.add("run", reason="long " * 100)
    content = bytearray(site.root.store.read_bytes())
    content[3 * 4096 :] = b"\xff" * (len(content) - 3 * 4096)
    site.root.store.write_bytes(content)
    done = site.glmd("status")
    assert done.returncode == 3
    assert done.stderr.startswith(f"glmd: {site.root.store}: damaged: ")
    assert done.stderr.count("\n") == 1


def test_rows_that_cannot_be_read_are_shown(site: Site) -> None:
    """With the daemon down, too."""
    site.add("bad")
    site.add("good")
    with contextlib.closing(sqlite3.connect(site.root.store)) as store, store:
        store.execute("UPDATE jobs SET state = 'nowhere' WHERE id = 1")
    told = "job 1: its row in the store cannot be read: ValueError: 'nowhere' is not a valid State"
    printed = site.glmd("status").stdout
    assert f"trouble: {told}" in printed
    assert list(rows(printed)) == ["2"]
    assert json.loads(site.glmd("status", "--json").stdout)["trouble"] == [told]


def test_a_job_shows_its_curve_where_it_came_to_and_what_it_takes(site: Site) -> None:
    """From its record, so of one that is over, too; and the disk from what is there."""
    job = site.add("a", *TRAINING, State.MERGING, State.DONE)
    record(site, job, range(1, 9), samples=6.5)
    record(site, job, range(7, 21), attempt=2, samples=6.5, overflow=True)
    directory = job.directory(site.root.path)
    for place, count in ((directory.output, 3), (directory.earlier_output(1), 2), (directory.merged, 1)):
        place.mkdir(parents=True)
        (place / "file").write_bytes(bytes(count << 20))
    resumed = directory.resume_from(2)
    resumed.mkdir(parents=True)
    (resumed / "linked").hardlink_to(directory.earlier_output(1) / "file")
    (resumed / "united").write_bytes(bytes(4 << 20))
    (resumed / "united too").hardlink_to(resumed / "united")
    shown = site.glmd("status", "1", PYTHONIOENCODING="utf-8").stdout
    assert "step 20 of 124, loss from 9 to 0.45, lowest 0.45" in shown
    assert "13 samples/s, 18s from its first step to its last, 14 steps overflowed" in shown
    assert any("\u2800" < sign <= "\u28ff" for sign in shown)
    assert "on the disk: output 3.1 MB, earlier attempts 6.3 MB, merged 1.0 MB" in shown
    plain = site.glmd("status", "1", PYTHONIOENCODING="ascii")
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.isascii()
    told = json.loads(site.glmd("status", "1", "--json").stdout)
    assert told["training"] == {
        "steps": 20, "planned": 124, "rows": 20, "first_loss": 9.0, "last_loss": 0.45, "lowest_loss": 0.45,
        "samples_per_second": 13.0, "seconds": 18.0, "overflows": 14,
    }  # fmt: skip
    assert told["disk"] == {"output": 3 << 20, "earlier_outputs": 6 << 20, "merged": 1 << 20}


def test_a_job_without_a_record_is_shown_as_ever(site: Site) -> None:
    """It has neither curve nor numbers."""
    site.add("a")
    assert "training" not in site.glmd("status", "1").stdout
    told = json.loads(site.glmd("status", "1", "--json").stdout)
    assert (told["training"], told["disk"]) == (None, {})


def test_a_job_shows_what_the_gate_found(site: Site) -> None:
    """Each rule in a line: its value, its limit and why; and where to read what its evaluation printed."""
    job = site.add("a", *TRAINING, State.MERGING, State.EVALUATING, State.DONE)
    directory = job.directory(site.root.path)
    directory.step(1, Step.EVALUATE).path.mkdir(parents=True)
    directory.step(1, Step.EVALUATE).stdout.write_text("measuring\n")
    rules = (
        Rule(name="finite", passed=True, value=0, limit=0),
        Rule(name="loss.max_rise", passed=None, why="not judged: nothing was promoted before"),
        Rule(name="metrics.bleu.min", passed=False, why="bleu 0.2 is below 0.3", value=0.2, limit=0.3),
    )
    Verdict(passed=False, reason="bleu 0.2 is below 0.3", rules=rules, metrics={"bleu": 0.2}).publish(directory.verdict)
    shown = [line.strip() for line in site.glmd("status", "1").stdout.splitlines()]
    assert "finite            passed (0, limit 0)" in shown
    assert "loss.max_rise     not judged: nothing was promoted before" in shown
    assert "metrics.bleu.min  failed: bleu 0.2 is below 0.3 (0.2, limit 0.3)" in shown
    assert "measured          bleu 0.2" in shown
    told = json.loads(site.glmd("status", "1", "--json").stdout)
    assert [rule["passed"] for rule in told["verdict"]["rules"]] == [True, None, False]
    assert told["paths"]["evaluation"] == str(directory.step(1, Step.EVALUATE).path)
    assert site.glmd("logs", "1", "--evaluation").stdout == "measuring\n"
    assert site.glmd("logs", "1", "--evaluation", "--rank", "0").returncode == 2
