"""Promises of README.md: what it says of glmd in its first minute is so."""

import re
import tomllib
from pathlib import Path

from daemon.core.states import OVER, State
from handlers.mindformers.dialect import NEWEST_READ, OLDEST_READ

HOUSE = Path(__file__).parents[3]
TEXT = (HOUSE / "README.md").read_text("utf-8")
FACTS = next(line for line in TEXT.splitlines() if " · " in line).split(" · ")


def test_it_is_three_sentences() -> None:
    """Between the name and the facts, and none of them is long."""
    first = TEXT.split("\n\n")[1].replace("\n", " ")
    sentences = re.findall(r"[^.]+\.(?: |$)", first)
    assert "".join(sentences) == first
    assert len(sentences) == 3
    assert all(len(part.split()) <= 30 for sentence in sentences for part in sentence.split(";"))


def test_the_facts_are_true() -> None:
    """Instead of badges, which only say so."""
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["project"]
    pythons = [name.rpartition(" ")[2] for name in project["classifiers"] if re.search(r"Python :: 3\.\d", name)]
    read = [f"{version.major}.{version.minor}" for version in (OLDEST_READ, NEWEST_READ)]
    assert [
        project["license"],
        f"Python {pythons[0]} to {pythons[-1]}",
        "Linux on x86_64 and aarch64",
        f"MindFormers {read[0]} to {read[1]}",
    ] == FACTS


def test_the_way_has_the_states_in_their_order() -> None:
    """All that a job on one server comes to when it goes well; Slurm's is told elsewhere."""
    way = TEXT.split("## The way of a YAML")[1].split("\n## ")[0]
    found = [word for word in re.findall(r"^    (\w+) ", way, re.MULTILINE) if word != "you"]
    assert found == [
        state for state in State if (state not in OVER or state is State.DONE) and state is not State.SUBMITTED
    ]


def test_every_goal_of_make_is_one() -> None:
    """In commands and in sentences."""
    goals = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^    (?:sudo )?|`)make ([a-z-]+)", TEXT, re.MULTILINE)) <= goals


def test_links_lead_to_what_is_there() -> None:
    """By paths, as on any disk."""
    links = re.findall(r'(?:\]\(|src=")([\w./-]+)', TEXT)
    assert len(links) > 20
    assert [path for path in links if not path.startswith("http") and not (HOUSE / path).exists()] == []
