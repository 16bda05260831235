"""Promises of daemon.core.names."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.names import NAME_MAX, fitting
from handlers.unfinished import is_ignored

TEMPORARY = (
    *(".a.yaml.Xy12Zw", ".a.yaml.swp", ".#a.yaml", "#a.yaml#", "a.yaml~", "a.yaml.tmp", "a.yaml.part", "4913"),
    *("a.yaml.filepart", "a.yaml.crdownload", "a.swp", ".nfs000000000001", ".a.yaml.0badcafe.tmp", ".a\nb.yaml"),
)
LONG = "ü" * 127 + "x"  # 255 bytes


@pytest.mark.parametrize("name", TEMPORARY)
def test_unfinished_files_of_known_tools_are_ignored(name: str) -> None:
    """Editors, browsers, copying tools, and glmd's own temporary names."""
    assert is_ignored(name)


@pytest.mark.parametrize("name", ("a.yaml", "a", "a.tmp.yaml", "tmp", "~a", "49130", "a b", "part", "a.swp\n"))
def test_everything_else_is_taken(name: str) -> None:
    """A file with an odd name is claimed and judged, not left without a word."""
    assert not is_ignored(name)


def test_a_name_that_fits_is_left_as_it_is() -> None:
    """Users find their files under the names they gave."""
    assert fitting("a.yaml", ".2") == "a.yaml.2"
    assert fitting(LONG) == LONG


def test_a_shortened_name_is_still_utf_8() -> None:
    """A character is not cut in two."""
    assert os.fsencode(fitting(LONG, ".reason.txt")).decode().startswith("ü" * 100)


def test_names_that_differ_at_the_end_stay_different() -> None:
    """What is cut off lives on in the hash."""
    assert fitting(LONG + "a", ".2") != fitting(LONG + "b", ".2")


@given(st.binary(min_size=1, max_size=NAME_MAX), st.sampled_from(("", ".2", ".reason.txt")), st.integers(60, NAME_MAX))
def test_every_name_is_made_to_fit(raw: bytes, ending: str, limit: int) -> None:
    """Of whatever bytes it consists."""
    name = fitting(os.fsdecode(raw), ending, limit)
    assert len(os.fsencode(name)) <= limit
    assert name.endswith(ending)
