"""Promises of texts that are shown whole."""

import pytest

from daemon.commands.paragraphs import paragraphs
from daemon.face.cells import cells

PROBLEM = (
    "run.yaml:172:19: parallel_config.model_parallel: 8 does not fit 4 devices\n"
    "  172 |   model_parallel: 8\n"
    "      |                   ^ dp 1 × mp 8 × pp 1 = 8, but devices [0,4) are 4\n"
)


def test_line_ends_are_kept_and_indented() -> None:
    """A message that points at a place in a file still does; the first line stands behind what names it."""
    assert paragraphs(PROBLEM, indent=4) == [
        "run.yaml:172:19: parallel_config.model_parallel: 8 does not fit 4 devices",
        "      172 |   model_parallel: 8",
        "          |                   ^ dp 1 × mp 8 × pp 1 = 8, but devices [0,4) are 4",
    ]


@pytest.mark.parametrize("text", ("word " * 60, "全量微调" * 40, "rank 3: " + "word " * 30 + "全量微调" * 40))
@pytest.mark.parametrize("indent", (0, 7))
def test_long_lines_are_wrapped_to_a_width(text: str, indent: int) -> None:
    """Each line fits, and nothing is lost."""
    lines = paragraphs(text, indent=indent, width=40)
    assert all(cells(line) <= 40 - indent for line in lines[:1])
    assert all(cells(line) <= 40 and line.startswith(" " * indent) for line in lines[1:])
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert len(lines) > 1


def test_wrapped_lines_stay_below_their_beginning() -> None:
    """What was indented stays so when it goes on in the next line."""
    assert paragraphs("reasons:\n  device 0: the tool says nothing at all", indent=2, width=24) == [
        "reasons:",
        "    device 0: the tool",
        "    says nothing at all",
    ]


def test_a_path_is_not_cut() -> None:
    """Whoever copies it gets it whole; a terminal wraps it itself."""
    path = "/var/glm/jobs/0042-run_glm_6b_finetune/attempts/1/train/stacks/rank_0.txt"
    assert paragraphs(f"see {path} for all", indent=0, width=30) == ["see", path, "for all"]


def test_a_narrow_terminal_gets_something_all_the_same() -> None:
    """However far the text is indented."""
    assert len(paragraphs("a word or two, or three, or more", indent=30, width=20)) == 2


def test_nothing_drives_a_terminal() -> None:
    """Only line ends of our own are line ends."""
    assert paragraphs("no\r\x1b]0;title\x07\u202e\nyes\u2028no\tx", indent=1) == [
        r"no\r\x1b]0;title\x07\u202e",
        r" yes\u2028no\tx",
    ]


def test_no_text_is_no_line() -> None:
    """Nor are blank lines at its end."""
    assert paragraphs("", indent=2) == []
    assert paragraphs("one\n\ntwo\n\n", indent=2) == ["one", "", "  two"]
