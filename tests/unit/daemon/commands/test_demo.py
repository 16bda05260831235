"""Promises of `glmd demo` that need no training; tests/rehearsal has the rest."""

from pathlib import Path

from tests.unit.daemon.commands.conftest import Site


def test_without_a_training_interpreter_it_says_how_to_get_one(site: Site, tmp_path: Path) -> None:
    """Exit code 2, at once, and no directory is left behind."""
    done = site.glmd("demo", "--root", tmp_path / "demo", HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "make demo" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_a_directory_with_something_in_it_is_left_alone(site: Site) -> None:
    """It might be a root that is in use."""
    done = site.glmd("demo", "--root", site.root.path, GLMD_TRAINING__PYTHON="/bin/true")
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert site.root.store.exists()


def test_a_training_interpreter_that_fails_is_told_with_its_last_words(site: Site, tmp_path: Path) -> None:
    """Exit code 1; the directory stays, with the whole log."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named sentencepiece' >&2\nexit 3\n")
    python.chmod(0o755)
    done = site.glmd("demo", "--root", tmp_path / "demo", GLMD_TRAINING__PYTHON=str(python))
    assert done.returncode == 1
    assert "exit code 3" in done.stderr
    assert "No module named sentencepiece" in done.stderr
    assert (tmp_path / "demo" / "make_data.log").exists()
