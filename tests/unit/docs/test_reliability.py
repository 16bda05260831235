"""Promises of docs/reliability.md: the tests that it names are there, and so is every kind of disagreement."""

import re
from pathlib import Path

from daemon.face.audit import Kind

TESTS = Path(__file__).parents[2]
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text()


def test_every_test_that_is_named_is_there() -> None:
    """In the file that is named with it, or the one named before."""
    named, file = 0, None
    for path, test in re.findall(r"`(?:([\w/]+\.py): )?(test_\w+)`", TEXT):
        file = TESTS / path if path else file
        assert file is not None
        assert f"def {test}(" in file.read_text(), f"{file}: {test}"
        named += 1
    assert named > 20


def test_every_kind_of_disagreement_is_explained_and_tried() -> None:
    """In the table, and by hand in the tests of the check."""
    audit = TESTS / "unit" / "daemon" / "face" / "audit"
    tried = "".join((audit / name).read_text() for name in ("test_check.py", "test_slurm_rules.py"))
    for kind in Kind:
        assert f"`{kind}`" in TEXT
        assert f"Kind.{kind.name}" in tried
