"""Promises of `glmd backup` and `glmd restore` as commands."""

import json
import re
import shutil
from pathlib import Path

import pytest

from daemon.core.states import Job, State
from tests.unit.daemon.commands.conftest import Site


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Return where backups are to be made."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


def made(to: Path) -> Path:
    """Return the one backup that is there."""
    (found,) = to.iterdir()
    assert re.fullmatch(r"glmd-backup-\d{8}T\d{6}Z", found.name)
    return found


def waiting(site: Site) -> Job:
    """Add a job that waits, with its files."""
    job = site.add("waits")
    directory = job.directory(site.root.path)
    directory.submitted.write_text("the dropped file")
    directory.config.write_text("what runs")
    return job


@pytest.mark.parametrize("is_up", (False, True))
def test_a_root_is_backed_up_and_restored(site: Site, to: Path, tmp_path: Path, *, is_up: bool) -> None:
    """With the daemon at work or without it; exit code 0, and the steps to restore it by hand."""
    if is_up:
        with site.daemon():
            done = site.glmd("backup", "--to", to)
    else:
        waiting(site)
        done = site.glmd("backup", "--to", to)
    assert (done.returncode, done.stderr) == (0, "")
    backup = made(to)
    assert done.stdout.startswith(f"{backup}\n")
    (site.root.path / "jobs").rename(tmp_path / "lost")
    looked = site.glmd("restore", "--check", backup)
    assert "it is whole" in looked.stdout, looked.stdout
    assert looked.returncode == 0
    assert f"sudo cp -a {backup} {site.root.path}" in looked.stdout
    restored = site.glmd("restore", backup, "--to", tmp_path / "again")
    assert restored.returncode == 0, restored.stderr
    doctor = site.glmd("doctor", "--state", "--root", tmp_path / "again")
    assert "root and store agree" in doctor.stdout, doctor.stdout


def test_json_has_the_documented_keys(site: Site, to: Path) -> None:
    """docs/cli.md names them."""
    waiting(site)
    said = json.loads(site.glmd("backup", "--to", to, "--json").stdout)
    documented = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
    assert said["path"] == str(made(to))
    looked = json.loads(site.glmd("restore", "--check", made(to), "--json").stdout)
    assert (looked["ok"], looked["states"], looked["problems"]) == (True, {"queued": 1}, [])
    for key in {*said, *looked}:
        assert f"`{key}`" in documented, key


def test_a_backup_that_lacks_something_has_exit_code_1(site: Site, to: Path) -> None:
    """It is made all the same, and what lacks is told on standard error; restore --check says it again."""
    job = site.add("done", State.PREPARING, State.FAILED)
    (job.directory(site.root.path).path / "events.jsonl").symlink_to("/nowhere")
    elsewhere = site.root.path / "elsewhere"
    job.directory(site.root.path).path.rename(elsewhere)
    job.directory(site.root.path).path.symlink_to(elsewhere)
    done = site.glmd("backup", "--to", to)
    assert done.returncode == 1
    assert json.loads(done.stderr.splitlines()[0])["event"] == "left_out_of_backup"
    assert "it lacks 1 thing" in done.stdout
    looked = site.glmd("restore", "--check", made(to))
    assert looked.returncode == 1
    assert "symbolic link" in looked.stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    (
        (("backup",), 2, "--to"),
        (("backup", "--to", "{tmp}/nowhere"), 2, "[backup.place]"),
        (("backup", "--to", "{root}/jobs"), 2, "[backup.place]"),
        (("restore", "{to}"), 2, "--check"),
        (("restore", "{to}", "--check", "--to", "{tmp}/again"), 2, "--check"),
        (("restore", "{to}", "--to", "{tmp}/again", "--deep"), 2, "--deep"),
        (("restore", "{to}", "--check"), 2, "[backup.none]"),
        (("restore", "{tmp}/nowhere", "--check"), 2, "[backup.none]"),
    ),
)
def test_bad_usage_is_exit_code_2(
    site: Site, to: Path, tmp_path: Path, words: tuple[str, ...], exit_code: int, said: str
) -> None:
    """And says what to do."""
    done = site.glmd(*(word.format(tmp=tmp_path, root=site.root.path, to=to) for word in words))
    assert (done.returncode, said in done.stderr) == (exit_code, True), done.stderr


def test_nothing_is_restored_under_a_daemon(site: Site, to: Path) -> None:
    """Exit code 3."""
    assert site.glmd("backup", "--to", to).returncode == 0
    with site.daemon():
        done = site.glmd("restore", made(to), "--to", site.root.path)
    assert done.returncode == 3
    assert "[backup.root-in-use]" in done.stderr
    done = site.glmd("restore", made(to), "--to", site.root.path)
    assert (done.returncode, "[backup.place]" in done.stderr) == (3, True)


def test_what_a_killed_backup_left_is_told(site: Site, to: Path) -> None:
    """And removed."""
    left = to / ".glmd-backup-20261128T040000Z.01234567.tmp"
    left.mkdir()
    (left / ".lock").touch()
    done = site.glmd("backup", "--to", to)
    assert done.returncode == 0
    assert json.loads(done.stderr)["event"] == "backup_remains_removed"
    made(to)


def test_settings_and_root_come_from_where_they_always_do(site: Site, to: Path) -> None:
    """Those of the root by themselves, others by --config."""
    (site.root.path / "glmd.yaml").write_text("devices: [0,2)\n")
    assert site.glmd("backup", "--to", to).returncode == 0
    assert (made(to) / "glmd.yaml").read_text() == "devices: [0,2)\n"
    shutil.rmtree(made(to))
    other = to.parent / "other.yaml"
    other.write_text(f"root: {site.root.path}\n")
    assert site.glmd("backup", "--to", to, "--config", other).returncode == 0
    assert (made(to) / "settings.yaml").read_text() == other.read_text()


def test_help_says_what_they_do(site: Site) -> None:
    """Of both, and in the list of all commands."""
    assert "Back up the store" in site.glmd("backup", "--help").stdout
    assert "--check" in site.glmd("restore", "--help").stdout
    listed = site.glmd("--help").stdout
    assert "backup" in listed
    assert "restore" in listed
