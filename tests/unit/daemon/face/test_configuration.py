"""Promises of daemon.face.configuration."""

import pytest

from daemon.face.configuration import values_of
from handlers.hidden_keys import NOTHING_HIDDEN, HiddenKeys
from handlers.validate.problem import ConfigError

HIDDEN = HiddenKeys.of(())


def shown(text: str, hidden: HiddenKeys = HIDDEN) -> dict[str, str]:
    """Return what is shown of a configuration."""
    return {name: value.shown for name, value in values_of(text.encode(), "a.yaml", hidden).items()}


def test_keys_are_dotted_and_lists_are_values() -> None:
    """A list of mappings is told element by element."""
    text = "a: 1\nb:\n  c: [1, 2]\n  d: {}\ne:\n- f: 1\n- 2\n"
    assert shown(text) == {"a": "1", "b.c": "[1, 2]", "b.d": "{}", "e[0].f": "1", "e[1]": "2"}


@pytest.mark.parametrize(
    "text",
    (
        "token: hunter2\n",
        "secrets:\n  a: hunter2\n  b: [hunter2]\n",
        "a: &x hunter2\ntoken: *x\n",
        "token: &x hunter2\na: *x\n",
        "base: &x\n  token: hunter2\nother:\n  <<: *x\n",
        "secret: &x\n  a: hunter2\nother:\n  <<: *x\n  b: 1\n",
        "a: [[{token: hunter2}]]\n",
        "a: [1, {b: [{password: hunter2}]}]\n",
        "token: |\n  hunter2\n  hunter2\n",
        "env: ['HF_TOKEN=hunter2']\n",
        "password: {hunter2: hunter2}\n",
    ),
)
def test_a_secret_is_not_shown_wherever_it_is_named(text: str) -> None:
    """Behind anchors, merges, lists in lists, over several lines; but what is told apart is."""
    assert "hunter2" not in str(shown(text))
    assert "•••" in str(shown(text))
    assert "hunter2" in str(shown(text, NOTHING_HIDDEN))
    assert "hunter2" not in repr(values_of(text.encode(), "a.yaml", HIDDEN))
    another = values_of(text.replace("hunter2", "hunter3").encode(), "a", HIDDEN)
    assert another != values_of(text.encode(), "a", HIDDEN) == values_of(text.encode(), "b", HIDDEN)


def test_what_is_no_configuration_is_refused() -> None:
    """By the error that says where."""
    with pytest.raises(ConfigError):
        values_of(b"a: [", "a.yaml", HIDDEN)
