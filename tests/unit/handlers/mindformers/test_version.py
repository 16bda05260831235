"""Promises of handlers.mindformers.version."""

import pytest

from handlers.mindformers.version import Lifetime, Version


@pytest.mark.parametrize(
    ("text", "version"),
    (
        ("0.8", Version(0, 8)),
        ("0.8.0", Version(0, 8)),
        ("1.3.2", Version(1, 3, 2)),
        ("r1.0", Version(1, 0)),
        ("v1.9.0", Version(1, 9)),
        ("1.6.0rc1", Version(1, 6)),
        ("1.0.dev20231201", Version(1, 0)),
        (" 0.8\n", Version(0, 8)),
    ),
)
def test_what_packages_and_branches_are_called(text: str, version: Version) -> None:
    """All the forms that MindFormers gives a version are read."""
    assert Version.parse(text) == version


@pytest.mark.parametrize("text", ("", "one", "1", "1.", "1.2.3.4", "-1.0", "1.2/3", "1.٣", "99999.0"))
def test_what_is_no_version(text: str) -> None:
    """Anything else is refused, with a word on how to write one."""
    with pytest.raises(ValueError, match="is no version"):
        Version.parse(text)


def test_versions_are_ordered_by_number() -> None:
    """1.10 is newer than 1.9; a patch is newer than the release it mends."""
    assert Version(0, 8) < Version(1, 0) < Version(1, 0, 1) < Version(1, 9) < Version(1, 10)


@pytest.mark.parametrize("text", ("0.8", "1.3.2", "1.0"))
def test_a_version_is_shown_as_it_is_written(text: str) -> None:
    """Without a patch of zero."""
    assert str(Version.parse(text)) == text


@pytest.mark.parametrize(
    ("lifetime", "there", "why_not"),
    (
        (Lifetime(), (True, True, True), ""),
        (Lifetime(Version(1, 2)), (False, True, True), "it came with 1.2"),
        (Lifetime(before=Version(1, 2)), (True, False, False), "it is gone from 1.2 on"),
        (Lifetime(Version(1, 2), Version(1, 3)), (False, True, False), "it came with 1.2"),
    ),
)
def test_in_which_versions_something_is_there(lifetime: Lifetime, there: tuple[bool, ...], why_not: str) -> None:
    """From the first that has it up to the first that does not any more."""
    versions = (Version(1, 1, 9), Version(1, 2), Version(1, 3))
    assert tuple(map(lifetime.holds, versions)) == there
    lacking = [version for version in versions if not lifetime.holds(version)]
    assert not lacking or lifetime.why_not(lacking[0]) == why_not
