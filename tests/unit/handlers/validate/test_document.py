"""Promises of handlers.validate.document and of the nodes below it."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handlers.validate.document import Document, Place, parse
from handlers.validate.problem import ConfigError


def at(document: Document, *keys: str) -> Place:
    """Return the place under `keys`, which must be there."""
    place = document.root.get(*keys)
    assert place is not None
    return place


def refusal(content: bytes | str, max_bytes: int = 1 << 20) -> str:
    """Return what parsing `content` is refused with."""
    with pytest.raises(ConfigError) as caught:
        parse(content if isinstance(content, bytes) else content.encode(), "a.yaml", max_bytes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "where", "what"),
    (
        (b"", "1:1", "the file is empty"),
        (b" \n\r\n\t\n", "1:1", "the file is empty"),
        (b"\xef\xbb\xbf", "1:1", "the file is empty"),
        (b"# nothing\n", "1:1", "only comments"),
        (b"\x7fELF\x02\x01\x00\x00", "1:1", "U+007F does not belong in a text file"),
        (b"a: 1\nb: \x00\n", "2:4", "U+0000 does not belong in a text file\n  is it a binary file?"),
        (b"a: 1\nb: \x1b[31m\n", "2:4", "U+001B"),
        (b"a: 1 # \xc2\x85b: 2\n", "1:8", "U+0085"),
        (b"a: 1\r\nb: x\xff\n", "2:5", "byte 0xff at offset 10 is not UTF-8"),
        ("a: 权重\nb: 数据".encode("gb18030"), "1:5", "not UTF-8\n  save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "1:1", "byte 0xff at offset 0 is not UTF-8"),
        (b"[1, 2]\n", "1:1", "the file is not a mapping"),
        (b"just text\n", "1:1", "the file is not a mapping"),
        (b"a: [1, 2\n", "2:1", "in a flow sequence|expected ',' or ']'"),
        (b"a: 1\n---\nb: 2\n", "2:1", "a second document starts here"),
        (b"a: *nowhere\n", "1:4", "undefined alias"),
        (b"a:\n\tb: 1\n", "2:1", "indent with blanks, not with tabs"),
        (b"a: 1\n b: 2\n", "2:3", "mapping values are not allowed"),
        (b"%YAML 9.9\n---\na: 1\n", "1:1", "incompatible"),
        (b"glmd:\n  devices: [0,8)\nseed: 0\n", "3:5", 'needs quotes: devices: "[0,8)"'),
    ),
)
def test_what_is_no_configuration_is_refused(content: bytes, where: str, what: str) -> None:
    """Each is refused with the line and column where it goes wrong, and the reason."""
    text = refusal(content)
    assert text.startswith(f"a.yaml:{where}: ")
    assert any(part in text for part in what.split("|"))


def test_too_large() -> None:
    """A file over the limit is refused unread, with both sizes."""
    assert "the file has 101 bytes, the limit is 100" in refusal(b"#" * 101, max_bytes=100)


def test_byte_order_mark_is_tolerated() -> None:
    """A file from a Windows editor is read, positions are right, and its bytes stay."""
    content = b"\xef\xbb\xbfa: 1\r\nglmd:\r\n  priority: 1\r\nb: 2\r\n"
    document = parse(content, "a.yaml")
    place = at(document, "b")
    assert (place.entry.line, place.entry.node.column) == (4, 4)
    assert document.without("glmd") == b"\xef\xbb\xbfa: 1\r\nb: 2\r\n"


@pytest.mark.parametrize(
    ("content", "what"),
    (
        (b"[" * 1_000_000, "nested deeper"),
        (b"{a: " * 250_000, "nested deeper"),
        (b"- " * 500_000, "nested deeper"),
        (b"a: 1\n" * 200_000, "more than 20000 values"),
        (b"a: [" + b"1," * 400_000 + b"]", "more than 20000 values"),
        (b"x: &x [" + b"*x," * 9 + b"]", "contains itself"),
        (b"x: &x {y: *x}", "contains itself"),
        (b"a0: &a0 [1]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 99)), "nested deeper"),
        (
            b"a0: &a0 [" + b"x," * 9 + b"]\n"
            + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 40)),
            "stand for more than 200000 values",
        ),
    ),
    ids=("lists", "mappings", "items", "keys", "elements", "self", "self-map", "alias-depth", "billion-laughs"),
)  # fmt: skip
def test_bombs_are_refused_quickly(content: bytes, what: str) -> None:
    """No megabyte of YAML takes more than seconds, or more memory than its nodes."""
    started = time.process_time()
    assert what in refusal(content)
    assert time.process_time() - started < 10


def test_positions_through_aliases_and_merges() -> None:
    """A value that came in through an alias or a merge is pointed at where it is written."""
    document = parse(
        b"base: &base {a: 1, b: 2}\ntask:\n  config: *base\nmerged:\n  <<: *base\n  b: 3\n  # comment\n  c: [x, 8]\n",
        "a.yaml",
    )
    assert document.problems == ()
    assert document.node.data == {
        "base": {"a": 1, "b": 2},
        "task": {"config": {"a": 1, "b": 2}},
        "merged": {"a": 1, "b": 3, "c": ["x", 8]},
    }
    assert (at(document, "task", "config", "b").entry.node.line, at(document, "merged", "a").entry.node.column) == (
        1,
        17,
    )
    second = list(at(document, "merged", "c"))[1]
    assert (second.where, second.entry.line, second.entry.column) == ("merged.c[1]", 8, 10)


def test_first_of_several_merges_wins() -> None:
    """A list of merges goes by YAML's rule, as PyYAML does it: the earlier mapping wins, own keys win over all."""
    document = parse(b"a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc:\n  <<: [*a, *b]\n  y: 3\n", "a.yaml")
    assert at(document, "c").data == {"x": 1, "y": 3, "z": 2}


@pytest.mark.parametrize(
    ("content", "expected"),
    (
        (b"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", [(4, 3, "b.c", "duplicate key, first in line 3"), (5, 1, "a", "line 1")]),
        (b"a: !!python/object/apply:os.system [x]\n", [(1, 4, "a", "the tag !!python/object/apply:os.system")]),
        (b"a: !local x\n", [(1, 4, "a", "the tag !local is not allowed")]),
        (b"a: !!set {x}\nb: !!binary aGk=\n", [(1, 4, "a", "!!set"), (2, 4, "b", "!!binary")]),
        (b"? [a]\n: 1\n", [(1, 3, "", "a key must be a plain text")]),
        (b"a:\n  <<: 3\n", [(2, 7, "a.<<", "<< takes a mapping")]),
        (b"b: &b {x: 1}\na:\n  <<: *b\n  <<: *b\n", [(3, 3, "a.<<", "duplicate merge key")]),
        (b"1: a\n0x1: b\n", [(2, 1, "0x1", "duplicate key")]),
    ),
)
def test_problems_that_parse(content: bytes, expected: list[tuple[int, int, str, str]]) -> None:
    """Duplicate keys and tags that ask for objects are found all at once, each at its place."""
    problems = parse(content, "a.yaml").problems
    assert [(problem.line, problem.column, problem.where) for problem in problems] == [row[:3] for row in expected]
    for problem, (*_, message) in zip(problems, expected, strict=True):
        assert message in problem.message


def test_missing_key_names_a_similar_one() -> None:
    """A key that is not there is reported at its mapping, with the one that may have been meant."""
    document = parse(b"seed: 0\nparallel:\n  paralel_mode: 1\n  full_batch:\n", "a.yaml")
    problem = at(document, "parallel").missing("parallel_mode")
    assert (problem.line, problem.column, problem.where) == (2, 1, "parallel.parallel_mode")
    assert problem.hint == "is `paralel_mode` meant for it?"
    empty = at(document, "parallel").missing("full_batch")
    assert (empty.line, empty.column, empty.message) == (4, 3, "is empty")


SECTIONS = (
    ("a: 1\nglmd:\n  priority: 1\nb: 2\n", "a: 1\nb: 2\n"),
    ("glmd: {priority: 1}\nb: 2\n", "b: 2\n"),
    ("a: 1\nglmd:\n  priority: 1\n", "a: 1\n"),
    ("a: 1\nglmd:\n  priority: 1", "a: 1\n"),
    ("a: 1\nglmd:\n\n# about b\n\nb: 2\n", "a: 1\n\n# about b\n\nb: 2\n"),
    ("a: 1\nglmd: # mine\n  # note\n  x: 1\n  # end\n\n# b\nb: &b 2\nc: *b\n", "a: 1\n\n# b\nb: &b 2\nc: *b\n"),
    ('a: 1\r\n"glmd":\r\n  x: |\r\n    # text\r\n    b: 3\r\nb: 2\r\n', "a: 1\r\nb: 2\r\n"),
    ("---\na: 1\nglmd: {x: [1,\n  2]}\n...\n", "---\na: 1\n...\n"),
    ("  a: 1\n  glmd:\n    x: 1\n  b: 2\n", "  a: 1\n  b: 2\n"),
    ("a: &a {x: .nan}\nglmd: *a\nb: *a\n", "a: &a {x: .nan}\nb: *a\n"),
    ("? glmd\n: x: 1\n? a\n: 1\n", "? a\n: 1\n"),
    ("glmd:\n  x: 1\n", ""),
    ("a: 1\n", "a: 1\n"),
)


@pytest.mark.parametrize(("before", "after"), SECTIONS)
def test_cutting_out_a_section(before: str, after: str) -> None:
    """All but the section's own lines stays byte for byte: comments, anchors, line ends."""
    assert parse(before.encode(), "a.yaml").without("glmd") == after.encode()


@pytest.mark.parametrize(
    ("content", "where", "what"),
    (
        ("{glmd: {x: 1}, a: 1}\n", "1:2", "not in braces"),
        ("a: &a {glmd: {x: 1}}\n<<: *a\n", "1:8", "not in braces"),
        ("glmd:\n  x: &x 1\na: *x\n", "3:1|2:6", "an anchor in `glmd:` is used outside"),
        ("glmd: &g {x: 1}\na:\n  b: [1, *g]\n", "1:7|3", "is used outside"),
        ("a: &x 1\nglmd: {y: &x 2}\nb: *x\n", "2:11", "is used outside"),
        ("glmd:\n  m: &m {}\na:\n  <<: *m\n", "1:1", "cannot be cut out"),
    ),
)
def test_a_section_that_cannot_be_cut_out(content: str, where: str, what: str) -> None:
    """What would change the rest of the file is a problem, never done."""
    with pytest.raises(ConfigError) as caught:
        parse(content.encode(), "a.yaml").without("glmd")
    assert what in str(caught.value)
    assert any(f"a.yaml:{place}" in str(caught.value) for place in where.split("|"))


YAMLISH = st.lists(
    st.sampled_from(
        ["a", "b", "glmd", ": ", ":", "\n", "\n  ", "- ", "&x ", "*x", "<<", "[", "]", "{", "}", ",", "'", '"', "|",
         ">", "#", " ", "!!int ", "!x ", "%YAML 1.1", "---", "...", "?", "\t", "\\", "1", "0x", ".nan", "~", "é", "@"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.one_of(YAMLISH.map(str.encode), st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
@example(b"\x85: 1")
@example(b"a: !!bool x")
@example("a: \U0001f600 [".encode())
def test_any_bytes_parse_or_are_refused(content: bytes) -> None:
    """Whatever is dropped, parsing and cutting end in a document or in ConfigError, with positions in the file."""
    try:
        document = parse(content, "a.yaml")
        document.without("glmd")
    except ConfigError as error:
        problems = error.problems
    else:
        problems = document.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)
    assert all(problem.line <= content.count(b"\n") + content.count(b"\r") + 1 for problem in problems)


@pytest.mark.parametrize(
    "content",
    (
        "hf_token: hunter2: x\n",
        "password: *hunter2\n",
        "x:\n  hf_token:\n    hunter2: y: z\n",
        "x:\n  hf_token: [1,\n    hunter2: y: z]\n",
        "x:\n  hf_token: |\n    a\n   %hunter2\n",
        f"a: {{b: 1, hf_token: {'hunter2' * 40}, c: [}}\n",
    ),
)
def test_no_problem_quotes_a_secret(content: str) -> None:
    """A reason is told to more people than can read the file; columns stay right."""
    told = refusal(content)
    assert "hunter2" not in told
    assert "***" in told
