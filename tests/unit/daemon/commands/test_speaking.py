"""Promises of the language that commands speak."""

import pytest

from daemon.core.states import State
from tests.unit.daemon.commands.conftest import Site

FAILED = (State.PREPARING, State.TRAINING, State.FAILED)


@pytest.mark.parametrize(
    ("options", "variables", "is_chinese"),
    (
        (("--lang", "zh"), {"LANG": "C"}, True),
        ((), {"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, True),
        ((), {"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, False),
        (("--lang", "en"), {"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, False),
        ((), {"LC_ALL": "zh_CN.UTF-8", "PYTHONIOENCODING": "ascii"}, False),
    ),
)
def test_it_is_the_one_asked_for_or_that_of_the_locale(
    site: Site, options: tuple[str, ...], variables: dict[str, str], *, is_chinese: bool
) -> None:
    """The first variable that is set counts; where the terminal cannot show Chinese it is English."""
    site.add("waits")
    printed = site.glmd("status", *options, **{"PYTHONUTF8": "1", **variables}).stdout
    assert ("排队" in printed) is is_chinese
    assert ("queued" in printed) is not is_chinese


def test_a_failure_is_told_in_chinese(site: Site) -> None:
    """By its code in some words, before the reason as it was written; nights speak it too."""
    site.add("broke", *FAILED, reason="rank 3 on device 3 exited 1 first", code="rank.EI0006")
    one = site.glmd("status", "1", "--lang", "zh").stdout
    assert "失败" in one
    assert "原因" in one
    assert "rank 3 on device 3 exited 1 first" in one
    assert "需要" in site.glmd("night", "--lang", "zh").stdout
    assert "夜间训练" in site.glmd("nights", "--lang", "zh").stdout


@pytest.mark.parametrize("command", ("status", "night", "nights"))
def test_programs_get_the_same_in_every_language(site: Site, command: str) -> None:
    """JSON has the codes and states, not words for people."""
    site.add("waits")
    assert site.glmd(command, "--json", "--lang", "zh").stdout == site.glmd(command, "--json").stdout
