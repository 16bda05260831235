"""Promises of the tutorial and the how-to pages: the settings, sections and codes that they show are taken."""

import re
from pathlib import Path

import pytest

from daemon.core.settings import load_settings
from handlers.codes import Code
from handlers.validate.document import parse
from handlers.validate.glmd_section import read_section

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "tutorial.md", *sorted(DOCS.glob("howto-*.md"))]


def blocks(page: Path, *, of_a_file: bool) -> list[str]:
    """Return the YAML of a page that is for a dropped file, or for the settings."""
    found = re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    marks = ("glmd:", "pet_config:", "parallel_config:")
    return [block for block in found if block.startswith(marks) is of_a_file]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_are_settings(page: Path, tmp_path: Path) -> None:
    """Alone, and all of a page together, as its reader has them at the end."""
    shown = blocks(page, of_a_file=False)
    for number, text in enumerate([*shown, "".join(shown)]):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        load_settings(file, None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sections_are_sections(page: Path) -> None:
    """Without a problem."""
    for text in blocks(page, of_a_file=True):
        _, wrong, problems = read_section(parse(text.encode(), page.name).root)
        assert (wrong, problems) == (frozenset(), ())


def test_codes_are_codes() -> None:
    """Those of the page about failing ranks, and its family of hangs."""
    text = (DOCS / "howto-failing-rank.md").read_text("utf-8")
    codes = {code.value for code in Code}
    told = set(re.findall(r"(?:`|explain )([a-z]+\.(?!yaml|json)[A-Za-z][\w-]*)(?=`|\s)", text))
    assert told >= {"rank.python-error", "rank.EI0006", "training.diverged"}
    assert told <= codes
    assert "`hang.`" in text
    assert any(code.startswith("hang.") for code in codes)


def test_the_pages_show_some_of_each() -> None:
    """Else the tests above could say nothing."""
    assert blocks(DOCS / "tutorial.md", of_a_file=False)
    assert blocks(DOCS / "howto-lora.md", of_a_file=True)
    assert "explain rank.python-error" in (DOCS / "howto-failing-rank.md").read_text("utf-8")
