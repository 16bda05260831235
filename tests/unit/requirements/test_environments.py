"""Promises of requirements/environments.py: what the host lacks is said before anything is fetched."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PLACE = Path(__file__).parents[3] / "requirements"


@pytest.fixture(scope="module")
def environments() -> Iterator[ModuleType]:
    """Import the program, as it imports what lies beside it."""
    sys.path.insert(0, str(PLACE))
    try:
        import environments  # noqa: PLC0415 - it is no package

        yield environments
    finally:
        sys.path.remove(str(PLACE))


@pytest.mark.parametrize("make", ("make_training", "make_today"))
def test_a_library_that_mindspore_loads_is_missed_before_gigabytes_are_fetched(
    environments: ModuleType, make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install; MindSpore itself would say so only when it is imported."""
    monkeypatch.setattr(environments, "MINDSPORE_LOADS", {"libnowhere.so.1": "Debian: apt-get install libnowhere1"})
    with pytest.raises(environments.MissingError, match=r"needs libnowhere\.so\.1(.|\n)*apt-get install libnowhere1"):
        getattr(environments, make)(tmp_path / "training")
    assert not list(tmp_path.iterdir())


def test_a_python_that_cannot_be_fetched_is_told_with_the_ways_out(
    environments: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where GitHub is not to be reached there are two: an interpreter by its path, and a mirror."""
    monkeypatch.delenv("PYTHON39", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 2\n")
    uv.chmod(0o755)
    monkeypatch.setattr(environments, "DEVELOPMENT_UV", uv)
    with pytest.raises(environments.MissingError) as caught:
        environments.find_exactly("3.9", "The training environment", tmp_path)
    assert "make PYTHON39=/path/to/python3.9" in str(caught.value)
    assert "UV_PYTHON_INSTALL_MIRROR" in str(caught.value)


def test_a_place_where_one_may_not_write_is_no_traceback(
    environments: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make install` without sudo says what is missing."""
    monkeypatch.setattr(sys, "argv", ["environments.py", "runtime", "/usr/local/lib/glmd/venv"])
    monkeypatch.setattr(environments.os, "umask", lambda _: 0)

    def refuse(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(environments.Path, "mkdir", refuse)
    assert environments.main() == 1
    assert capsys.readouterr().err.endswith(
        "/usr/local/lib/glmd: this user may not write there; to install for all, as root: sudo make install\n"
    )
