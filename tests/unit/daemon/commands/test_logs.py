"""Promises of `glmd logs`."""

import subprocess
from pathlib import Path

import pytest

from daemon.commands.logs import LONGEST
from daemon.core.states import Job, State
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir
from tests.unit.daemon.commands.conftest import Site, environment, until

EVENT = (
    '{"job": 1, "attempt": 1, "rank": 3, "exit_code": 1, "path": "/a b", "event": "rank_exited", "level": "warning",'
    ' "timestamp": "2026-11-24T09:14:07.123456Z"}\n'
)
TRAINING = (State.PREPARING, State.TRAINING)


def events_of(job: Job, site: Site, text: str = EVENT) -> Path:
    """Write a job's events."""
    path = job.directory(site.root.path).events
    path.write_text(text)
    return path


def follow(site: Site, *arguments: str) -> subprocess.Popen[str]:
    """Start `glmd logs -f`."""
    return subprocess.Popen(
        site.command("logs", *arguments, "-f"), stdout=subprocess.PIPE, text=True, env=environment()
    )


def test_events_are_lines_for_people(site: Site) -> None:
    """Time, level where it is not info, name, and the fields; the job is known already."""
    events_of(site.add(), site)
    done = site.glmd("logs", "1")
    assert done.stdout == '2026-11-24 09:14:07 WARNING rank_exited attempt=1 rank=3 exit_code=1 path="/a b"\n'


def test_json_gives_the_events_as_they_are_kept(site: Site) -> None:
    """Byte for byte, for programs."""
    events_of(site.add(), site)
    assert site.glmd("logs", "1", "--json").stdout == EVENT


def test_a_line_that_is_no_event_is_shown_as_it_is(site: Site) -> None:
    """A crash may cut a line off; nothing is hidden, nothing drives the terminal."""
    events_of(site.add(), site, EVENT + '{"event": "cut\x1b[2J')
    lines = site.glmd("logs", "1").stdout.splitlines()
    assert lines[1] == '{"event": "cut\\x1b[2J'


def test_a_rank_s_own_output(site: Site) -> None:
    """`--rank N` is that rank's log."""
    job = site.add("a", *TRAINING)
    log = job.directory(site.root.path).rank_log(1)
    log.parent.mkdir(parents=True)
    log.write_bytes("loss 全\n\tmore".encode())
    assert site.glmd("logs", "1", "--rank", "1").stdout == "loss 全\n\tmore\n"


def test_a_rank_that_the_job_has_not_is_bad_input(site: Site) -> None:
    """Exit code 2, and which ranks there are."""
    site.add()
    done = site.glmd("logs", "1", "--rank", "2")
    assert done.returncode == 2
    assert "ranks 0 to 1" in done.stderr


def test_a_log_that_is_not_there_says_why(site: Site) -> None:
    """A job that waits has none yet; one that failed early never had."""
    site.add()
    site.add("b", State.FAILED, reason="no disk")
    assert "-f waits for it" in site.glmd("logs", "1", "--rank", "0").stderr
    done = site.glmd("logs", "2", "--rank", "0")
    assert "no disk" in done.stderr
    assert done.returncode == 2


def test_following_waits_for_the_file_and_ends_with_the_job(site: Site) -> None:
    """All lines come, also those written just before the end."""
    job = site.add("a", *TRAINING)
    log = job.directory(site.root.path).rank_log(0)
    with follow(site, "1", "--rank", "0") as process:
        assert process.stdout is not None
        log.parent.mkdir(parents=True)
        log.write_text("first\nsec")
        assert process.stdout.readline() == "first\n"
        with log.open("a") as stream:
            stream.write("ond\n")
        assert process.stdout.readline() == "second\n"
        with log.open("a") as stream:
            stream.write("last")
        site.move(job, State.FAILED, "x")
        assert process.stdout.read() == "last\n"
        assert process.wait(60) == 0


def test_following_goes_on_with_a_retry_s_new_file(site: Site) -> None:
    """A file that was replaced is read from its start."""
    job = site.add("a", *TRAINING)
    log = job.directory(site.root.path).rank_log(0)
    log.parent.mkdir(parents=True)
    log.write_text("old\n")
    with follow(site, "1", "--rank", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "old\n"
        log.rename(log.with_suffix(".1"))
        log.write_text("new\n")
        assert process.stdout.readline() == "new\n"
        site.move(job, State.FAILED)
        until(lambda: process.poll() is not None, "it ends")


def test_a_hostile_log_drives_no_terminal_through_a_pipe(site: Site) -> None:
    """`| less -R` and a saved file are terminals, too, sooner or later; tabs stay, and JSON stays JSON."""
    job = site.add("a", *TRAINING)
    log = job.directory(site.root.path).rank_log(0)
    log.parent.mkdir(parents=True)
    log.write_bytes("10%\r99%\r\n\ta\x1b[2J\u202eb\x9bc 全\n".encode())
    assert site.glmd("logs", "1", "--rank", "0").stdout == "99%\n\ta\\x1b[2J\\u202eb\\x9bc 全\n"
    events_of(job, site, '{"event": "\x1b[2J\u00a0全"}\n' + "[" * 100_000 + "\n")
    json_line, deep = site.glmd("logs", "1", "--json").stdout.splitlines()
    assert json_line == '{"event": "\\u001b[2J\u00a0全"}'
    assert deep == "[" * 100_000
    assert site.glmd("logs", "1").returncode == 0


@pytest.mark.parametrize("rank", (("--rank", "0"), ()))
def test_a_line_without_an_end_is_cut(site: Site, rank: tuple[str, ...]) -> None:
    """A hundred megabytes take no longer than to read them; what follows is whole."""
    job = site.add("a", *TRAINING)
    directory = job.directory(site.root.path)
    path = directory.rank_log(0) if rank else directory.events
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 100_000_000
    with path.open("wb") as stream:
        stream.write(b"x" * (LONGEST + 1))
        stream.seek(size)
        stream.write(b"\nnext\n")
    long, following = site.glmd("logs", "1", *rank).stdout.splitlines()
    assert long == "x" * LONGEST + f" … and {size - LONGEST} bytes more"
    assert following == "next"


def test_what_glmd_prints_on_nodes_of_slurm(site: Site) -> None:
    """The batch step's, and each node's, of the present attempt; nodes that there are not are refused."""
    job = site.add("far", *(State.PREPARING, State.SUBMITTED), devices=(), nodes=2, ranks=4)
    directory = NodesDir(job.directory(site.root.path).step(1, Step.TRAIN))
    directory.lay_out(2)
    directory.out.write_text("slurmstepd: error: no interpreter\n")
    directory.log(1).write_text("node 1 begins\n")
    merge = NodesDir(job.directory(site.root.path).step(1, Step.MERGE))
    merge.lay_out(0)
    merge.out.write_text("it merges\n")
    assert site.glmd("logs", "1", "--slurm", "batch").stdout == "slurmstepd: error: no interpreter\n"
    assert site.glmd("logs", "1", "--slurm", "merge").stdout == "it merges\n"
    assert site.glmd("logs", "1", "--slurm", "1").stdout == "node 1 begins\n"
    refused = site.glmd("logs", "1", "--slurm", "2")
    assert (refused.returncode, "nodes 0 to 1" in refused.stderr) == (2, True)
    assert site.glmd("logs", "1", "--slurm", "batch", "--rank", "1").returncode == 2
    site.add("near", *TRAINING)
    assert "does not train on nodes" in site.glmd("logs", "2", "--slurm", "batch").stderr
