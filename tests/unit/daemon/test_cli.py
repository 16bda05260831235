"""Promises of the program `glmd` as a whole."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer.testing

from daemon import cli
from daemon.commands import COMMANDS, HIDDEN
from daemon.commands.app import app, load
from daemon.commands.exit_codes import exit_code, message, text_with_code
from daemon.core.control import NotRunningError, RequestRefusedError
from daemon.core.settings import SettingsError
from daemon.core.store import NewJob, Store, StoreError
from handlers.ckpt.errors import DamagedFileError, NoSpaceError
from handlers.codes import Code
from handlers.errors import BadInputError, HandlerError, RefusedError
from handlers.host.shortages import shortage
from handlers.validate.problem import ConfigError, Problem
from tests.unit.handlers.ckpt.ckpt_writer import small_run

GLMD = [sys.executable, "-m", "daemon.cli"]


def glmd(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    words = [*GLMD, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=os.environ | env)


def test_the_console_script_is_this_program() -> None:
    """What the package installs as `glmd` is what these tests run."""
    (script,) = entry_points(group="console_scripts", name="glmd")
    assert script.load() is cli.main


def test_help_names_every_command_that_people_use() -> None:
    """`glmd --help` lists all commands but the hidden ones."""
    done = glmd("--help")
    assert done.returncode == 0
    listed = {line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed == set(COMMANDS) - HIDDEN
    assert "..." not in done.stdout.partition("Commands:")[2], "a line is cut off on a terminal of 80 columns"


def test_status_is_quick_because_it_imports_nothing_that_it_does_not_show(tmp_path: Path) -> None:
    """Neither what reads YAML nor what writes log events."""
    Store.open(tmp_path / "glmd.db").close()
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", *GLMD[1:], "status", "--root", str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "daemon.face.status" in imported
    assert not imported & {"ruamel.yaml", "structlog", "rich.console", "numpy", "watchdog.observers"}


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    """0.3 s is not enough to import any of these."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *GLMD[1:], "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"typer", "daemon"} <= imported
    assert imported.isdisjoint({"rich", "pydantic", "structlog", "numpy", "ruamel", "watchdog", "sqlite3", "psutil"})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded_and_agrees_with_its_line_in_the_table(name: str) -> None:
    """`glmd NAME --help` begins with what `glmd --help` says of it."""
    command = load(name)
    assert (command.help or "").partition("\n")[0] == COMMANDS[name][1]
    result = typer.testing.CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0


def test_a_merge_loads_nothing_that_is_slow_to_load(tmp_path: Path) -> None:
    """Neither the typed command line, nor what checks plans or logs: they take longer than a small merge."""
    small_run(tmp_path / "output", (2,)).write()
    flags = [f"--src_checkpoints_dir={tmp_path / 'output'}", f"--dst_checkpoints_dir={tmp_path / 'merged'}"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *GLMD[1:], "merge", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"daemon", "handlers", "xxhash"} <= imported
    assert imported.isdisjoint({"typer", "rich", "pydantic", "structlog", "numpy", "ruamel", "sqlite3", "psutil"})


def test_a_command_with_its_own_parser_can_follow_common_options(tmp_path: Path) -> None:
    """`glmd --root DIR merge …` is the same as `glmd merge …`, its help and its errors too."""
    assert glmd("--root", tmp_path, "merge", "--help").stdout == glmd("merge", "--help").stdout
    done = glmd("--root", tmp_path, "merge", "--ranks", "none")
    assert (done.returncode, "--ranks" in done.stderr) == (2, True)


def test_an_interrupted_merge_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every command that Ctrl-C ends."""

    def interrupted(_arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("daemon.commands.merge.merge", interrupted)
    monkeypatch.setattr(sys, "argv", ["glmd", "merge"])
    assert cli.main() == 130


def test_version() -> None:
    """`--version` names program and version."""
    done = glmd("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("glmd 0.")


@pytest.mark.parametrize("arguments", (["sttaus"], ["status", "--nope"], ["merge"], ["logs", "1", "--rank", "x"]))
def test_bad_usage_is_exit_code_2(arguments: list[str]) -> None:
    """Bad usage: 2, the reason on standard error, nothing on standard output."""
    done = glmd(*arguments)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert not done.stdout


def test_a_slip_of_the_finger_gets_a_suggestion() -> None:
    """The command that was meant is named."""
    assert "'status'" in glmd("sttaus").stderr


@pytest.mark.parametrize(
    ("error", "code"),
    (
        (BadInputError("x"), 2),
        (SettingsError("x"), 2),
        (RefusedError("x"), 3),
        (DamagedFileError("x"), 3),
        (RequestRefusedError("x"), 3),
        (NoSpaceError("x"), 1),
        (HandlerError("x"), 1),
        (StoreError("x"), 1),
        (NotRunningError("x"), 1),
        (PermissionError("x"), 1),
        (KeyError("x"), None),
    ),
)
def test_each_kind_of_error_has_its_exit_code(error: Exception, code: int | None) -> None:
    """2 bad input, 3 refused, 1 failed; a defect of glmd's own keeps its traceback."""
    assert exit_code(error) == code


def test_problems_of_a_file_begin_their_lines_with_its_name() -> None:
    """So that editors and terminals find FILE:LINE:COL."""
    assert message(ConfigError("run.yaml", [Problem(3, 7, "seed", "is wrong")])).startswith("run.yaml:3:7: ")
    assert message(BadInputError("no")) == "glmd: no"


def test_names_in_messages_cannot_drive_the_terminal() -> None:
    """Files are called as others like it."""
    assert message(DamagedFileError("a\x1b[2J\nb is damaged")) == r"glmd: a\x1b[2J\nb is damaged"
    assert message(BadInputError("a\x1b[2J")) == r"glmd: a\x1b[2J"
    assert message(BadInputError("two\nlines")) == "glmd: two\nlines"


def test_expected_errors_show_no_traceback(tmp_path: Path) -> None:
    """A missing store is a sentence on standard error."""
    done = glmd("status", "--root", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"glmd: {tmp_path}/glmd.db: no store there")
    assert "Traceback" not in done.stderr


def test_the_root_can_be_named_in_three_ways(tmp_path: Path) -> None:
    """Before the command, after it (which wins), and by GLMD_ROOT."""
    named = {
        "before": glmd("--root", tmp_path / "before", "status"),
        "after": glmd("--root", tmp_path / "before", "status", "--root", tmp_path / "after", GLMD_ROOT=str(tmp_path)),
        "env": glmd("status", GLMD_ROOT=str(tmp_path / "env")),
    }
    for name, done in named.items():
        assert f"{tmp_path}/{name}/glmd.db" in done.stderr


def test_a_settings_file_can_name_the_root(tmp_path: Path) -> None:
    """`--config FILE` before or after the command."""
    config = tmp_path / "glmd.yaml"
    config.write_text(f"root: {tmp_path}/there\n")
    for done in (glmd("--config", config, "status"), glmd("status", "--config", config)):
        assert f"{tmp_path}/there/glmd.db" in done.stderr


def test_unusable_settings_are_bad_input(tmp_path: Path) -> None:
    """A settings file that is not there, or has a key nobody knows: 2, and the reason."""
    assert glmd("status", "--config", tmp_path / "none.yaml").returncode == 2
    config = tmp_path / "glmd.yaml"
    config.write_text("inbix: {}\n")
    done = glmd("doctor", "--config", config)
    assert done.returncode == 2
    assert "inbix" in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`glmd status --all | head -1` says nothing about pipes."""
    with Store.open(tmp_path / "glmd.db") as store:
        for number in range(1500):
            store.add(NewJob(claim=str(number), name=f"a_rather_long_name_of_a_job_{number}"))
    words = [*GLMD, "status", "--all", "--root", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(60)


def test_ctrl_c_is_exit_code_130(tmp_path: Path) -> None:
    """What waits can be interrupted, quietly."""
    with Store.open(tmp_path / "glmd.db") as store:
        job = store.add(NewJob(claim="1", name="a"))
    events = job.directory(tmp_path).events
    events.parent.mkdir(parents=True)
    events.write_text('{"event": "job_queued", "level": "info", "timestamp": "2026-11-24T03:00:00Z"}\n')
    words = [*GLMD, "logs", "1", "-f", "--root", str(tmp_path)]
    # Who runs tests in the background of a shell script lets them ignore SIGINT.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, preexec_fn=heed) as process, ExitStack() as stack:  # noqa: PLW1509
        stack.callback(process.kill)
        assert process.stdout is not None
        assert b"job_queued" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said == b""


@pytest.mark.parametrize("words", ("inspect", "verify", "merge", "demo", "rank-table check", "check"))
def test_common_options_are_common(tmp_path: Path, words: str) -> None:
    """Every command takes --root, also where it means nothing to it; what it lacks is told as without."""
    done = glmd(*words.split(), "--root", tmp_path, "--no-such")
    assert done.returncode == 2
    assert "--no-such" in done.stderr or "--dst-checkpoints-dir" in done.stderr
    assert "--root" not in done.stderr


def test_the_common_options_of_a_command_that_needs_none_are_ignored(tmp_path: Path) -> None:
    """A settings file that is not there harms nobody who reads none."""
    there = tmp_path / "a.ckpt"
    told = {glmd("inspect", there, *common).stderr for common in ((), ("--root", tmp_path), ("--config", there))}
    assert told == {f"glmd: {there}: no such file\n"}


@pytest.mark.parametrize(
    ("error", "told"),
    (
        (OSError(errno.EROFS, "Read-only file system", "/a"), "glmd: /a: Read-only file system: mount it for writing"),
        (OSError(errno.ENOSPC, "No space left on device", "/a"), "glmd: /a: No space left on device: free space there"),
        (
            OSError(errno.EACCES, "Permission denied", "/a", None, "/b"),
            "glmd: /a -> /b: Permission denied: check its owner",
        ),
        (OSError("/a: not a record"), "glmd: /a: not a record"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "/a"), "glmd: /a: Invalid cross-device link"),
    ),
)
def test_an_error_of_the_system_says_where_what_and_what_to_do(error: OSError, told: str) -> None:
    """Its number helps nobody."""
    assert message(error).startswith(told)
    assert "Errno" not in message(error)


@pytest.mark.parametrize(("words", "megabytes"), (("status", 20), ("check /etc/hostname", 40)))
def test_what_the_shell_denies_is_one_line(tmp_path: Path, words: str, megabytes: int) -> None:
    """Which limit it is, and no traceback: nothing in glmd is to be mended."""
    done = subprocess.run(
        [*GLMD, *words.split(), "--root", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)),
    )
    assert done.returncode == 1
    assert "ulimit -v" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    (
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (ImportError("libc.so: failed to map segment from shared object"), "ulimit -v"),
        (MemoryError(), "ulimit -v"),
        (OSError(errno.EMFILE, "Too many open files", "/a"), "ulimit -n"),
        (OSError(errno.ENOENT, "No such file or directory", "/a"), ""),
        (RuntimeError("anything"), ""),
    ),
)
def test_a_shortage_is_told_from_a_defect(error: Exception, told: str) -> None:
    """By its number, or by the only thing that tells: its text."""
    assert told in shortage(error)
    assert bool(shortage(error)) is bool(told)


def test_no_file_of_a_command_can_be_written_by_others(tmp_path: Path) -> None:
    """Whatever the shell's umask."""
    small_run(tmp_path / "output", (2,)).write()
    merge = f"merge --src_checkpoints_dir={tmp_path}/output --dst_checkpoints_dir={tmp_path}/merged"
    (tmp_path / "hccn.conf").write_text("address_0=192.168.100.100\n")
    table = f"rank-table make --devices 0 --server-ip 192.168.1.1 --hccn-conf {tmp_path}/hccn.conf -o {tmp_path}/table"
    for words in (merge, f"{table} --hccn-tool none"):
        done = subprocess.run(
            [*GLMD, *words.split()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            umask=0,
        )
        assert done.returncode == 0, done.stderr
    made = [path for name in ("merged", "table") for path in (tmp_path / name, *(tmp_path / name).rglob("*"))]
    assert len(made) > 4
    assert [str(path) for path in made if path.stat().st_mode & 0o002] == []


@pytest.mark.parametrize(
    ("error", "line"),
    (
        (RefusedError("no:\n  why", Code.RANK_TABLE_REFUSED), "glmd: no: [rank-table.refused]\n  why"),
        (DamagedFileError("a is cut off"), "glmd: a is cut off [merge.damaged]"),
        (NotRunningError("x"), "glmd: x [daemon.not-running]"),
        (RequestRefusedError("x"), "glmd: x"),
        (BadInputError("x", Code.USAGE_OPTIONS), "glmd: x"),
    ),
)
def test_an_error_is_told_with_its_code(error: Exception, line: str) -> None:
    """At the end of its line; an older daemon's refusal has none, and bad usage explains itself."""
    assert text_with_code(error) == line


def test_an_error_of_json_is_json(tmp_path: Path) -> None:
    """Where errors always are: there is no result."""
    done = glmd("verify", tmp_path, "--json")
    found = json.loads(done.stderr)
    assert (found["ok"], found["code"], found["exit_code"], done.returncode) == (False, "verify.no-manifest", 2, 2)
    assert "no manifest.json is there" in found["message"]
    assert done.stdout == ""
