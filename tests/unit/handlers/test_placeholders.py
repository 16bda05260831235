"""Promises of handlers.placeholders."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.placeholders import Word, fill

ANSWERS = {Word.DATE: "2026-11-28", Word.NIGHT: "glm-20261127T180000Z"}


def answer(word: Word, pattern: str) -> str:
    """Return what each placeholder stands for here: a pattern for a path with all that YAML has a meaning for."""
    return ANSWERS.get(word) or f"{pattern.replace('*', 'it is: [a] {b} #1')}"


def filled(text: str) -> str:
    """Return `text` with its placeholders filled in."""
    return fill(text, answer, "t.yaml")


def data(text: str) -> object:
    """Return what YAML makes of it."""
    return YAML(typ="safe", pure=True).load(text)


NEW = "/data/it is: [a] {b} #1.mr"


@pytest.mark.parametrize(
    ("value", "read"),
    (
        ("{newest:/data/*.mr}", NEW),
        ("{newest-by-name:/data/*.mr}", NEW),
        ("'{newest:/data/*.mr}'", NEW),
        ('"{newest:/data/*.mr}"', NEW),
        ("{date}", "2026-11-28"),
        ("'{date}'", "2026-11-28"),
        ("[{date}, '{night}']", ["2026-11-28", "glm-20261127T180000Z"]),
        ("{of: {date}}", {"of": "2026-11-28"}),
        ("/data/{date}/x.json", "/data/2026-11-28/x.json"),
        ("it's {date}", "it's 2026-11-28"),
        ("'it''s {date}'", "it's 2026-11-28"),
        ('"a\\tb \\"{date}\\" \\u4e2d\\\\"', 'a\tb "2026-11-28" \u4e2d\\'),
        ("|\n  On {date}:\n   and {night}\n", "On 2026-11-28:\n and glm-20261127T180000Z\n"),
        (">-  # {date}\n  On {date}\n  and\n", "On 2026-11-28 and"),
        ("&it {date}", "2026-11-28"),
        ("!!str '{date}'", "2026-11-28"),
        ("- '{date}'\n- b", None),
    ),
)
def test_a_placeholder_is_filled_in(value: str, read: object) -> None:
    """Whatever the style of the value, with quotes and without; what comes out is that text."""
    if read is None:
        assert data(filled(f"- a: 1\n{value}\n")) == [{"a": 1}, "2026-11-28", "b"]
        return
    text = f"# {{date}}\nkey: {value}\nlast: 1  # {{night}}\n"
    found = filled(text)
    assert data(found) == {"key": read, "last": 1}
    assert found.startswith("# {date}\nkey: ")
    assert found.endswith("last: 1  # {night}\n")


@pytest.mark.parametrize(
    "value",
    (
        *(
            "'{instruction} {0} {x:>10} {date!r} {date:%Y}'",
            "'{\"date\": 1}'",
            "'{{date}} ${date} {{ date }} {{newest:/x}}'",
        ),
        *(
            "${night}",
            "{a: 1, b: /data}",
            "{date: 1}",
            "{path: /data/x}",
            "'{nigth}'",
            "'{ date }'",
            "'{}'",
            "'{%date%}'",
        ),
    ),
)
def test_other_braces_stay(value: str) -> None:
    """Those of format strings, Jinja, JSON, shells, mappings: byte for byte, beside a placeholder that is filled in."""
    text = f"it: {value}\nkey: '{{date}}'\n"
    assert filled(text) == f"it: {value}\nkey: '2026-11-28'\n"


def test_keys_stay() -> None:
    """A key is no value, in whatever style."""
    text = "{date}: 1\n'{night}': 2\n? '{date}'\n: 3\nflow: {'{date}': 4}\n"
    assert filled(text) == text


def test_an_alias_sees_what_its_anchor_has() -> None:
    """It is filled in once."""
    found = filled("a: &it '{date}'\nb: *it\nc: &that\n  d: {night}\ne: *that\n")
    assert found == "a: &it '2026-11-28'\nb: *it\nc: &that\n  d: 'glm-20261127T180000Z'\ne: *that\n"


@pytest.mark.parametrize("text", ("a: [1\n", "\x00{x}", "a: 1\r\nb: {x}\r\n", "", "- {instruction}\n{"))
def test_a_text_without_any_is_not_looked_at(text: str) -> None:
    """It stays as it is, be it YAML or not."""
    assert filled(text) == text


@pytest.mark.parametrize(
    ("value", "why"),
    (
        ("'{newst:/data/*.mr}'", "is newest meant"),
        ("{newst:/data/*.mr}", "is newest meant"),
        ("'{newest_by_name:/data/*.mr}'", "is newest-by-name meant"),
        ("'{Newest:/data/*.mr}'", "is newest meant"),
        ("'{date:/data}'", "no placeholder"),
        ("{newest: /data/*.mr}", "without blanks"),
        ("'{ newest:/data/*.mr}'", "without blanks"),
        ("'{newest:data/*.mr}'", "from the root"),
        ("'{newest}'", "from the root"),
        ("'x{newest:}'", "from the root"),
    ),
)
def test_what_was_meant_for_one_is_told(value: str, why: str) -> None:
    """With its place: a night must not train on a path that nobody filled in."""
    with pytest.raises(BadInputError, match=rf"t\.yaml:2:6: .*{why}") as told:
        filled(f"a: 1\nkey: {value}\n")
    assert told.value.code is Code.NIGHT_PLACEHOLDER


CHARS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")) | st.sampled_from("\t\n\"'\\#:&*{}[]|>%@`!,?- ")
)
VALUES = st.lists(st.sampled_from(["{date}", "{night}"]) | CHARS, min_size=1, max_size=5).map("".join)


def written(value: str) -> str:
    """Return `value` as a scalar in double quotes, as some other writer escapes it."""
    return (
        '"'
        + "".join(c if c in string.ascii_letters + string.digits + "{}" else f"\\U{ord(c):08x}" for c in value)
        + '"'
    )


@given(st.lists(VALUES, min_size=1, max_size=4), st.booleans())
def test_what_is_read_is_what_was_meant(values: list[str], is_flow: bool) -> None:  # noqa: FBT001 - of a test
    """Of any text: the document with its placeholders filled in, and not a byte of the rest is another one."""
    texts = [written(value) for value in values]
    text = f"[{', '.join(texts)}] # {{date}}" if is_flow else "".join(f"- {each} # '{{date}}'\n" for each in texts)
    expected = [_expected(value) for value in values]
    assert data(filled(text)) == expected
    assert filled(text).count("{date}") >= text.count("# {date}") + text.count("# '{date}'")


def _expected(value: str) -> str:
    """Return what is meant by `value`, found without a regular expression."""
    done = ""
    for place, char in enumerate(value):
        done += char
        for word, meant in (("{date}", ANSWERS[Word.DATE]), ("{night}", ANSWERS[Word.NIGHT])):
            before = value[place - len(word)] if place >= len(word) else ""
            if value[: place + 1].endswith(word) and before not in {"{", "$"} and value[place + 1 : place + 2] != "}":
                done = done[: -len(word)] + meant
    return done
