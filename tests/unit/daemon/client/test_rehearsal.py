"""Promises of the rehearsal's stage that need no training; tests/rehearsal has the rest."""

import os
import sys
from pathlib import Path

import pytest

from daemon.client.rehearsal import Stage, new_root, training_python
from daemon.client.stacks import NAME, STACKS, TODAY, Stack
from daemon.core.settings import load_settings
from handlers.errors import BadInputError


def test_the_configured_interpreter_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else there is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert training_python(Path(sys.executable)) == Path(sys.executable)


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_else_the_newest_that_make_has_finished_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Stack
) -> None:
    """`make demo` builds it in ~/.cache/glmd and marks it complete; a half-built one or another's does not count."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = next(each for each in STACKS.values() if each is not stack).environment
    there = {f"{stack.environment}-old": True, f"{stack.environment}-new": True, f"{other}-newer": True}
    for age, (name, is_complete) in enumerate({**there, f"{stack.environment}-half": False}.items()):
        directory = tmp_path / "glmd" / name
        (directory / "bin").mkdir(parents=True)
        (directory / "bin" / "python").symlink_to(sys.executable)
        if is_complete:
            (directory / ".complete").touch()
            os.utime(directory / ".complete", (1_000_000 + age, 1_000_000 + age))
    newest = tmp_path / "glmd" / f"{stack.environment}-new" / "bin" / "python"
    assert training_python(Path("/nowhere"), stack) == newest


def test_without_any_it_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how to get one. A directory, as an empty setting is, is no interpreter."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for given in (Path("/nowhere"), Path()):
        with pytest.raises(BadInputError, match="make demo STACK=today"):
            training_python(given, TODAY)


def test_a_root_is_new_or_empty(tmp_path: Path) -> None:
    """A directory in use, or a file, is refused; a temporary one is made where none is named."""
    assert new_root(tmp_path / "a" / "b").is_dir()
    assert new_root(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    for taken in (tmp_path, Path(__file__)):
        with pytest.raises(BadInputError, match="not empty"):
            new_root(taken)
    made = new_root(None)
    assert not list(made.iterdir())
    made.rmdir()


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_a_furnished_stage_has_settings_that_a_daemon_takes(tmp_path: Path, stack: Stack) -> None:
    """Two devices, processes of its own, and the rehearsal's entry point for a checkout."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    root = new_root(tmp_path / "root")
    with Stage(root, python, stack) as stage:
        stage.furnish()
        settings = load_settings(stage.settings_file, root)
        assert (settings.devices, settings.training.python) == ((0, 1), python)
        assert (settings.training.checkout / "run_mindformer.py").exists()
        assert b"{data}" not in stage.yaml()
        assert str(stage.data).encode() in stage.yaml()


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_its_parts_are_there(stack: Stack) -> None:
    """What is installed has the rehearsal's files."""
    assert {"make_data.py", "check_loss.py", "run_mindformer.py", "hccn.conf", NAME} <= {
        path.name for path in stack.checkout.iterdir()
    }
