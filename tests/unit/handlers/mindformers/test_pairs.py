"""Which MindSpore a MindFormers goes with, as VERSION_MAP.json in its package says."""

import json
from pathlib import Path

import pytest

from handlers.mindformers.installed import find_installed
from handlers.mindformers.pairs import NAME, read_pairs
from handlers.mindformers.version import Version


def entry(*versions: str) -> dict[str, object]:
    """Return what the file says of one MindFormers."""
    return {"prefer": versions[0], "support": list(versions)}


def test_what_goes_with_what(tmp_path: Path) -> None:
    """Both ways; what is preferred comes first, and what the file does not name goes with nothing."""
    told = {"1.3.2": entry("2.4.10", "2.4.0"), "1.8.0": entry("2.7.2"), "1.8.1": entry("2.7.2")}
    (tmp_path / NAME).write_text(json.dumps({"mf": told, "ms": {}, "cann": {}}))
    pairs = read_pairs(tmp_path)
    assert pairs is not None
    assert pairs.of(Version(1, 3, 2)) == (Version(2, 4, 10), Version(2, 4))
    assert pairs.of(Version(1, 9)) == ()
    assert pairs.going_with(Version(2, 7, 2)) == (Version(1, 8), Version(1, 8, 1))
    assert pairs.going_with(Version(2, 0)) == ()


@pytest.mark.parametrize(
    "text",
    (
        "", "{", "[]", "null", "[" * 10_000, '{"mf": []}', '{"mf": {"newest": {"prefer": "2.9.0"}}}',
        '{"mf": {"1.9.0": 3}}', '{"mf": {"1.9.0": {"prefer": 2.9, "support": ["x"]}}}',
    ),
)  # fmt: skip
def test_a_file_that_says_nothing(tmp_path: Path, text: str) -> None:
    """Is as one that is not there."""
    (tmp_path / NAME).write_text(text)
    assert read_pairs(tmp_path) is None
    assert read_pairs(tmp_path / "nowhere") is None


def test_it_lies_in_the_package_that_is_imported(tmp_path: Path) -> None:
    """The checkout's own, or else the interpreter's."""
    python = tmp_path / "venv" / "bin" / "python"
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    (site / "mindformers-1.9.0.dist-info").mkdir(parents=True)
    assert find_installed(tmp_path / "checkout", python).package == site / "mindformers"
    (tmp_path / "checkout" / "mindformers").mkdir(parents=True)
    assert find_installed(tmp_path / "checkout", python).package == tmp_path / "checkout" / "mindformers"
