"""Promises of daemon.face.redaction: no secret is in what is shown, and all else is, as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.face.redaction import redacted
from handlers.hidden_keys import HiddenKeys

HIDDEN = HiddenKeys.of(["^hushed$"])


def shown(text: str) -> str:
    """Return what is shown of a text that can be parsed."""
    found = redacted(text.encode(), HIDDEN)
    assert found.is_parsed
    return found.text


def test_what_holds_no_secret_is_as_it_was_written() -> None:
    """Byte for byte, with its comments, blank lines and line ends."""
    text = "# head\r\na: 1   # why\r\n\r\nb:   {c: [1,  2], pad_token: '<pad>'} # tokenizer\r\nc: |\r\n  x\r\n\r\n# end"
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    (
        ("token: hunter2\n", "token: •••\n"),
        ("a: 1\nmy_secret: hunter2\nb: 2\n", "a: 1\nmy_secret: •••\nb: 2\n"),
        ("hushed: hunter2\n", "hushed: •••\n"),
        ("token: hunter2  # hunter2\nb: 2\n", "token: •••  # •••\nb: 2\n"),
        ("token:   # hunter2\n  hunter2\n", "token:   # •••\n  •••\n"),
        ("token:   # hunter2\nb: 1\n", "token:   # •••\nb: 1\n"),
        ("token: hunter2\n# hunter2\nb: 1\n", "token: •••\n# •••\nb: 1\n"),
        ("# token: hunter2\na: 1\n", "# token:•••\na: 1\n"),
        ("a:\n  # api_key !hunter2\n  - 1\n", "a:\n  # api_key•••\n  - 1\n"),
        ("a: 1 # api_key hunter2\n", "a: 1 # api_key•••\n"),
        ("token: |\n  hunter2\n  # hunter2\n\nb: 1\n", "token: •••\n\nb: 1\n"),
        ("token: >-\n  hunter2\n\n  hunter2\nb: 1\n", "token: •••\nb: 1\n"),
        ("token: hunter2\n  hunter2\nb: 1\n", "token: •••\nb: 1\n"),
        ('token: "hunter2\n  hunter2"\nb: 1\n', "token: •••\nb: 1\n"),
        ("token: 'hunter2\n\n  hunter2' # hunter2\n", "token: ••• # •••\n"),
        ("a: {token: hunter2, b: 1}\n", "a: {token: •••, b: 1}\n"),
        ("a: {b: 1, token: hunter2} # hunter2\n", "a: {b: 1, token: •••} # •••\n"),
        ("a: {token: hunter2, b: 1} # hunter2\n", "a: {token: •••, b: 1} # •••\n"),
        ("a: {token: [hunter2, {x: hunter2}]}\n", "a: {token: •••}\n"),
        ("a: [{password: hunter2}]\n", "a: [{password: •••}]\n"),
        ("a: [token: hunter2]\n", "a: [token: •••]\n"),
        ("secrets:\n  - hunter2\n  # hunter2\n  - x: hunter2\nb: 1\n", "secrets:\n  •••\nb: 1\n"),
        ("secrets:\n  a: hunter2\n  # hunter2\n\nb: 1\n", "secrets:\n  •••\n  # •••\n\nb: 1\n"),
        ("a: &x hunter2\ntoken: *x\n", "a: •••\ntoken: •••\n"),
        ("token: &x hunter2\na: *x\n", "token: •••\na: *x\n"),
        ("a: &x {b: hunter2}\ntoken: *x\n", "a: •••\ntoken: •••\n"),
        ("a: &x hunter2\nb: &y [*x]\ntoken: *y\n", "a: •••\nb: •••\ntoken: •••\n"),
        ("a: &x\n  b: hunter2\nsecret:\n  <<: *x\n", "a: •••\nsecret:\n  •••\n"),
        ("a: &x 1\nb: &x hunter2\ntoken: *x\n", "a: &x 1\nb: •••\ntoken: •••\n"),
        ("a: &k token\n*k : hunter2\n", "a: &k token\n*k : •••\n"),
        ("? token\n: hunter2\n", "? token\n: •••\n"),
        ("? [x, token]\n: hunter2\n", "? [x, token]\n: •••\n"),
        ("? token # hunter2\n: hunter2\n", "? token # •••\n: •••\n"),
        ('"to\\u006ben": hunter2\n', '"to\\u006ben": •••\n'),
        ("token: !!str hunter2\n", "token: •••\n"),
        ("token: !x &y hunter2\n", "token: •••\n"),
        ("password: !hunter2 &x y\n", "password: •••\n"),
        ("password: !hunter2\nb: 1\n", "password: •••\nb: 1\n"),
        ("password: &hunter2\nb: 1\n", "password: •••\nb: 1\n"),
        ("password: #hunter2\nb: 1\n", "password: # •••\nb: 1\n"),
        ("env: ['HF_TOKEN=hunter2', 1]\n", "env: ['HF_TOKEN=•••, 1]\n"),
        ("token: hunter2\ntoken: hunter2\n", "token: •••\ntoken: •••\n"),
        ("a: 1\n---\ntoken: hunter2\n", "a: 1\n---\ntoken: •••\n"),
        ("\ufefftoken: hunter2\n", "token: •••\n"),
        ("token: hunter2\r\nb: 1\r\n", "token: •••\r\nb: 1\r\n"),
        ("token: hunter2\rb: 1\r", "token: •••\rb: 1\r"),
        ("- token: hunter2\n- 2\n", "- token: •••\n- 2\n"),
        ("全: 全\n密token: hunter2\n", "全: 全\n密token: •••\n"),
        ("😀: 1\ntoken: hunter2 # x\n", "😀: 1\ntoken: ••• # •••\n"),
    ),
)
def test_a_secret_is_left_out_however_it_is_written(text: str, told: str) -> None:
    """Over lines, in braces, behind anchors and aliases; with the comments beside it."""
    assert shown(text) == told


@pytest.mark.parametrize(
    "text",
    (
        "token: hunter2\nbad: [",
        "a: 1\ntoken: 'hunter2\n\nhunter2\n",
        "token:\n  hunter2\n  # hunter2\n hunter2\nb: [",
        "token: |\n  hunter2\n\n  hunter2\nb: 1\n: [",
        "token: {a: hunter2,\nb: hunter2\n",
        "x: &a hunter2\n  hunter2\ntoken: *a\nb: [",
        "token: *nowhere\nx: &a hunter2\n",
        "\ttoken: hunter2\n",
        "x: {token: hunter2\nhunter2\n",
        "x: {\ntoken: hunter2\nhunter2\n",
        "password: %hunter2\n",
        "password: @hunter2\n",
        "password: *hunter2\n",
        "password: hunter2: x\n",
        "export API_KEY hunter2\n: [",
        "token: hunter2\n# hunter2\n: [",
        "\x00token: hunter2",
        "token: hunter2\n" + "[" * 2000,
        "token: hunter2\n" + "a: 1\n" * 60_000,
    ),
)
def test_what_cannot_be_parsed_is_told_line_by_line(text: str) -> None:
    """Rather too little of it than a secret."""
    found = redacted(text.encode(), HIDDEN)
    assert not found.is_parsed
    assert "hunter2" not in found.text
    assert "•••" in found.text


def test_bytes_that_are_no_text_are_told() -> None:
    """Without what they hide."""
    assert "hunter2" not in redacted(b"\xff\xfe\ntoken: hunter2\n", HIDDEN).text
    assert redacted(b"", HIDDEN).text == ""


SIGNS = st.text("hunter2: #'\"[]{},&*!|>\n\\-", min_size=1, max_size=20)


@given(before=SIGNS, after=SIGNS, value=SIGNS)
def test_whatever_stands_around_it_a_secret_is_gone(before: str, after: str, value: str) -> None:
    """Where the text is YAML, and where it is none."""
    text = f"x: {before}\ntoken: SESAME{value}\ny: {after}\n"
    assert "SESAME" not in redacted(text.encode(), HIDDEN).text
