"""Promises of CONTRIBUTING.md and of .github: what they name is there."""

import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[3]
TEXT = (HOUSE / "CONTRIBUTING.md").read_text("utf-8")
RECIPES = re.findall(r"^### (.+?)\n(.+?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
TEMPLATES = sorted((HOUSE / ".github").rglob("*.md"))
GOALS = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_there_is_a_recipe_for_each_thing_that_people_add() -> None:
    """In the order in which they come."""
    wanted = ("known error", "rule", "setting", "dialect", "launcher", "format", "metric")
    assert len(RECIPES) == len(wanted)
    for (heading, _), word in zip(RECIPES, wanted, strict=True):
        assert word in heading


@pytest.mark.parametrize("recipe", [text for _, text in RECIPES])
def test_a_recipe_names_files_and_a_commit(recipe: str) -> None:
    """Each file by its path from the top of the tree, a test among them; and a commit that did it."""
    named = re.findall(r"`([\w.-]+/[\w./-]+)`", recipe)
    assert len(named) >= 5
    assert [path for path in named if not (HOUSE / path).exists()] == []
    assert any(path.startswith("tests/") for path in named)
    assert re.search(r"Commit [0-9a-f]{7}\b", recipe)


def test_every_command_runs_what_is_there() -> None:
    """Tests, benchmarks and goals of make."""
    programs = re.findall(r"(?:pytest|python) ((?:tests|benchmarks)/\S*[\w/])", TEXT)
    assert len(programs) > 5
    assert [path for path in programs if not (HOUSE / path).exists()] == []
    goals = set(re.findall(r"(?:^    |`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"lint", "test", "bench", "environments"} <= goals <= GOALS


def test_links_lead_to_what_is_there() -> None:
    """Files, and headings in them."""
    for path, heading in re.findall(r"\]\(([\w./-]+)(?:#([\w-]+))?\)", TEXT):
        assert (HOUSE / path).exists(), path
        if heading:
            found = re.findall(r"^#+ (.+)$", (HOUSE / path).read_text("utf-8"), re.MULTILINE)
            assert heading in {name.lower().replace(" ", "-") for name in found}, heading


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_names_what_is_there(template: Path) -> None:
    """Files and headings of ours, commands of glmd and goals of make; and says for what it is."""
    text = template.read_text("utf-8")
    for path in re.findall(r"\b([A-Z]+\.md)\b", text):
        assert (HOUSE / path).exists(), path
    commands = re.findall(r"`glmd ([a-z]\w*)", text)
    assert [name for name in commands if f"glmd {name}" not in (HOUSE / "docs" / "cli.md").read_text("utf-8")] == []
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= GOALS
    for heading in re.findall(r'CONTRIBUTING\.md, "(.+?)"', text):
        assert f"### {heading}\n" in TEXT
    if template.parent.name == "ISSUE_TEMPLATE":
        assert re.match(r"---\nname: .+\nabout: .+\nlabels: .+\n---\n", text)


def test_there_are_templates_for_issues_and_pull_requests() -> None:
    """Three of the one, one of the other."""
    assert [path.name for path in TEMPLATES] == ["bug.md", "change.md", "known_error.md", "PULL_REQUEST_TEMPLATE.md"]
