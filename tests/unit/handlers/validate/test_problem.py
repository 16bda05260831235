"""Promises of handlers.validate.problem."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import BadInputError
from handlers.validate.problem import ConfigError, Findings, Problem, agreement, quoted, visible


def test_rendering_is_the_house_style() -> None:
    """Where, what, the line of the file, and a caret under the value with the reason."""
    problem = Problem(
        line=172,
        column=19,
        where="parallel_config.model_parallel",
        message="8 does not fit 4 devices",
        hint="data_parallel 1 × model_parallel 8 × pipeline_stage 1 = 8, but devices [0,4) are 4",
        excerpt="  model_parallel: 8",
    )
    assert problem.render("run_glm_6b.yaml") == (
        "run_glm_6b.yaml:172:19: parallel_config.model_parallel: 8 does not fit 4 devices\n"
        "  172 |   model_parallel: 8\n"
        "      |                   ^ data_parallel 1 × model_parallel 8 × pipeline_stage 1 = 8, but devices [0,4) are 4"
    )


def test_no_excerpt() -> None:
    """A problem of the whole file is its first line and the hint."""
    problem = Problem(1, 1, "", "the file is empty", "write something")
    assert problem.render("a.yaml") == "a.yaml:1:1: the file is empty\n  write something"


def test_terminal_escapes_are_spelt_out() -> None:
    """Nothing from a user's file reaches a terminal as a control character, wherever it stands."""
    evil = "\x1b]0;owned\x07\u202e\r\n\x9b"
    text = Problem(1, 3, evil, evil, evil, f"a{evil}b").render(f"{evil}.yaml")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.count("\n") == 2
    assert "\\x1b]0;owned\\x07\\u202e\\r\\n\\x9b" in text


@given(st.text(), st.text(), st.integers(1, 300))
def test_rendering_never_breaks_a_line(message: str, excerpt: str, column: int) -> None:
    """Whatever the texts are, a problem is three lines at most, all of them printable."""
    lines = Problem(1, column, "", message, "hint", excerpt).render("a.yaml").split("\n")
    assert len(lines) <= 3
    assert all(line.isprintable() for line in lines)


def test_caret_under_wide_characters() -> None:
    """The caret stands under its character after Chinese text, which takes two columns a character."""
    lines = Problem(1, 4, "", "m", "", "权重: x").render("a.yaml").splitlines()
    assert lines[1] == "  1 | 权重: x"
    assert lines[2] == "    |      ^"  # two wide characters and a colon are five columns


def test_long_line_is_cut_around_the_caret() -> None:
    """A line of a megabyte shows the part in question, and the caret is still under it."""
    excerpt = "x" * 500_000 + "HERE" + "y" * 500_000
    _, line, caret = Problem(1, 500_001, "", "m", "", excerpt).render("a.yaml").splitlines()
    assert len(line) < 200
    assert line[caret.index("^") :].startswith("HERE")


def test_all_problems_sorted_and_once() -> None:
    """One error carries every problem in the order of the file, none twice."""
    later, earlier = Problem(9, 1, "b", "second"), Problem(2, 5, "a", "first")
    error = ConfigError("a.yaml", [later, earlier, later])
    assert isinstance(error, BadInputError)
    assert error.problems == (earlier, later)
    assert str(error).index("first") < str(error).index("second")


def test_very_many_problems_are_cut_short() -> None:
    """A file with thousands of problems gives a text that can be read."""
    error = ConfigError("a.yaml", [Problem(line, 1, "", "wrong") for line in range(1, 1001)])
    assert str(error).endswith("… and 950 more problems")
    assert len(error.problems) == 1000


def test_one_line_form() -> None:
    """As a string, for a log, a problem is one line."""
    assert str(Problem(3, 7, "a.b", "is wrong\n", "do this")) == "3:7: a.b: is wrong\\n (do this)"


def test_quoted_is_short() -> None:
    """Values of any kind and length are shown briefly."""
    assert quoted("x" * 10_000) == f"'{'x' * 59}…'"
    assert [quoted(value) for value in (None, [1], {"a": 1}, True, 8)] == ["empty", "a list", "a mapping", "True", "8"]
    assert visible("a\tb") == "a\\tb"


def test_what_several_checks_agree_upon() -> None:
    """For all a problem, for some a warning that names them; other advice does not make another problem."""
    both, one = Problem(1, 1, "a", "wrong", "as 0.8 says it"), Problem(2, 1, "b", "missing", "needed")
    word = Problem(3, 1, "c", "odd")
    found = {"0.8": Findings([both, one], [word]), "1.9": Findings([replace(both, hint="as 1.9 says it")], [word])}
    agreed = agreement(found)
    assert agreed.problems == [both]
    assert agreed.warnings == [word, replace(one, hint="needed; so with MindFormers 0.8")]
    assert agreement({"0.8": Findings([both]), "1.9": Findings()}).problems == []
