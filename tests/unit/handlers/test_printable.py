"""Promises of handlers.printable."""

import json
import os

import pytest

from handlers.printable import printable, printable_json, printable_lines, to_json


@pytest.mark.parametrize(
    ("text", "shown"),
    (
        ("plain 全", "plain 全"),
        ("a\x1b[2Jb\x9bc", "a\\x1b[2Jb\\x9bc"),
        ("run ü 1.yaml", "run ü 1.yaml"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        (os.fsdecode(b"caf\xe9.yaml"), "caf\\udce9.yaml"),
        ("a\u202elmay.sh", "a\\u202elmay.sh"),
        ("a\u2028b", "a\\u2028b"),
    ),
)
def test_text_is_shown_without_its_power(text: str, shown: str) -> None:
    """No control character, no reordering, nothing that cannot be encoded, one line."""
    assert printable(text) == shown


def test_lines_and_tabs_may_stay() -> None:
    """Words in any language pass; control characters and undecodable bytes are spelt out."""
    assert printable_lines("权重 ok\n\tnext") == "权重 ok\n\tnext"
    assert printable_lines("\x1b[1m\x00\udc80\u202e") == "\\x1b[1m\\x00\\udc80\\u202e"


@pytest.mark.parametrize("text", ("\x1b[2J", "\x9b2J\x7f", "a\u202eb\u2066", "\udc80", "权重 ü", '\\"\n\t'))
def test_json_means_the_same_and_drives_no_terminal(text: str) -> None:
    """Also with characters that JSON itself needs no escape for; it can be encoded, whatever was not."""
    written = to_json({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert printable_lines(written) == written
    assert printable_json(written) == written
    written.encode()


def test_words_of_any_language_stay_words() -> None:
    """JSON is read by people too."""
    assert "权重" in to_json("权重")
