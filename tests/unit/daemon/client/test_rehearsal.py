"""Promises of the rehearsal's stage that need no training; tests/rehearsal has the rest."""

import os
import sys
from pathlib import Path

import pytest

from daemon.client.rehearsal import Stage, new_root, training_python
from daemon.client.stacks import GLM_6B, NAME, STACKS, TODAY, Stack
from daemon.core.settings import load_settings
from handlers.errors import BadInputError


def test_the_configured_interpreter_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else there is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert training_python(Path(sys.executable)) == Path(sys.executable)


def test_else_the_newest_that_make_has_finished_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` builds ~/.cache/glmd/training-LOCK and marks it complete; a half-built one does not count."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for age, (name, is_complete) in enumerate({"old": True, "new": True, "half": False}.items()):
        directory = tmp_path / "glmd" / f"training-{name}"
        (directory / "bin").mkdir(parents=True)
        (directory / "bin" / "python").symlink_to(sys.executable)
        if is_complete:
            (directory / ".complete").touch()
            os.utime(directory / ".complete", (1_000_000 + age, 1_000_000 + age))
    assert training_python(Path("/nowhere")) == tmp_path / "glmd" / "training-new" / "bin" / "python"


def test_without_any_it_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how to get one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInputError, match="make demo"):
        training_python(Path("/nowhere"))


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


def test_a_furnished_stage_has_settings_that_a_daemon_takes(tmp_path: Path) -> None:
    """Two devices, processes of its own, and the rehearsal's entry point for a checkout."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    root = new_root(tmp_path / "root")
    with Stage(root, python) as stage:
        stage.furnish()
        settings = load_settings(stage.settings_file, root)
        assert (settings.devices, settings.training.python) == ((0, 1), python)
        assert (settings.training.checkout / "run_mindformer.py").exists()
        assert b"{data}" not in stage.yaml()
        assert str(stage.data).encode() in stage.yaml()


def test_its_parts_are_there() -> None:
    """What is installed has the rehearsal's files."""
    assert {"make_data.py", "check_loss.py", "run_mindformer.py", "hccn.conf", NAME} <= {
        path.name for path in CONFIGS.iterdir()
    }
