"""Promises of docs/settings.md: the `glmd:` section that it shows is whole, and says the defaults.

That configs/glmd.yaml, the reference of the settings, is whole is a promise of tests/unit/daemon/core/test_settings.py.
"""

import re
import textwrap
from itertools import takewhile
from pathlib import Path

import pytest

from handlers.gate.gate import Gate
from handlers.validate.document import parse
from handlers.validate.glmd_section import GlmdSection, MergeWish, Resume, StopOn, Timeout, read_section

TEXT = (Path(__file__).parents[3] / "docs" / "settings.md").read_text("utf-8")
(SECTION,) = re.findall(r"^    glmd:\n      devices:.*?\n(?=\n)", TEXT, re.MULTILINE | re.DOTALL)
ELSEWHERE = {"slurm"}
"""Has a table of its own, under «More than one machine»."""


@pytest.fixture
def lines() -> list[str]:
    """Return the section that the page shows."""
    return textwrap.dedent(SECTION).splitlines()


def keys_below(lines: list[str], key: str) -> set[str]:
    """Return the keys below `key`, those that are commented out among them."""
    below = takewhile(lambda line: line.startswith("    "), lines[lines.index(f"  {key}:") + 1 :])
    return {name for line in below for name in re.findall(r"^    (?:# )?(\w+):", line)}


def test_the_section_shows_every_key(lines: list[str]) -> None:
    """And no key that there is not."""
    assert set(re.findall(r"^  (\w+):", "\n".join(lines), re.MULTILINE)) == set(GlmdSection.model_fields) - ELSEWHERE
    for key, model in (("merge", MergeWish), ("resume", Resume), ("timeout", Timeout), ("stop_on", StopOn)):
        assert keys_below(lines, key) == set(model.model_fields), key
    gate = next(line for line in lines if "also finite, evaluate, metrics" in line)
    assert {"loss", *re.findall(r"finite|evaluate|metrics", gate)} >= set(Gate.model_fields)


def test_it_says_the_defaults(lines: list[str]) -> None:
    """Of all but `devices`, `run_mode`, `gate` and `with_rank_table`, whose comments say what holds without them."""
    section, wrong, problems = read_section(parse("\n".join(lines).encode(), "run.yaml").root)
    assert (wrong, problems) == (frozenset(), ())
    without = {"devices", "run_mode", "gate", "with_rank_table"}
    assert section.model_dump(exclude=without) == GlmdSection().model_dump(exclude=without)
