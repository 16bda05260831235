"""Promises of the pages in Chinese: each says what its English page says, and changes with it.

What is compared needs no translation: the levels of headings and the codes in them, commands, names in `…`, the shapes
of tables, and where links lead.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

HOUSE = Path(__file__).parents[3]
DOCS = HOUSE / "docs"
NAMES = ("install", "tutorial", "operations", "troubleshooting")
README = (HOUSE / "README.md", HOUSE / "README.zh-CN.md")
INDEX = (DOCS / "index.md", DOCS / "zh" / "index.md")
PAIRS = [README, *((DOCS / f"{name}.md", DOCS / "zh" / f"{name}.md") for name in NAMES)]
"""Each page that is there in both languages. The index is not: the Chinese one has lists of its own."""
CHINESE = [INDEX[1], *(chinese for _, chinese in PAIRS)]
PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(slots=True)
class Section:
    """A heading, and what is below it until the next one."""

    heading: str
    level: int
    codes: set[str] = field(default_factory=set)
    blocks: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)


def sections_of(text: str, page: Path) -> list[Section]:
    """Return the sections of a page in their order."""
    tokens = PARSER.parse(text)
    found: list[Section] = []
    for number, token in enumerate(tokens):
        match token.type:
            case "heading_open":
                found.append(Section(tokens[number + 1].content, int(token.tag[1:])))
            case "fence" | "code_block":
                said = _names if token.info == "text" else _command
                found[-1].blocks += [token.info, *map(said, token.content.splitlines())]
            case "table_open" | "tr_open" | "th_open" | "td_open":
                found[-1].tables.append(token.tag)
            case "inline":
                found[-1].codes |= {part.content for part in token.children or () if part.type == "code_inline"}
                found[-1].links |= {_in_english(target, page) for target in _targets(token)}
    return found


def _command(line: str) -> str:
    """Return a line without its comment, which each language has in its own words."""
    return re.sub(r"(?:^|\s)#.*", "", line).rstrip()


def _names(line: str) -> str:
    """Return what a line of a picture names: a state at its beginning, and files."""
    return " ".join(re.findall(r"^ *[a-z]+|[\w.-]*[/._][\w./-]*[\w/]", line, re.ASCII)).strip()


def _targets(token: Token) -> Iterator[str]:
    """Yield where a text's links lead, and its pictures."""
    yield from (unquote(str(part.attrs["href"])) for part in token.children or () if part.type == "link_open")
    yield from re.findall(r'src="([^"]+)"', token.content)


def _in_english(target: str, page: Path) -> str:
    """Return where a link leads, by English pages: a translated page stands for all its headings."""
    if "://" in target:
        return target
    path, _, heading = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    for english, chinese in (INDEX, *PAIRS):
        if file in {english, chinese}:
            return english.name
    return f"{file}#{heading}"


def differences(english: str, chinese: str, pages: tuple[Path, Path]) -> list[str]:
    """Return what one text has and the other has not, by section; nothing if they are in step."""
    sides = [sections_of(text, page) for text, page in zip((english, chinese), pages, strict=True)]
    for one, other in zip_longest(*sides):
        codes = [re.findall(r"`[^`]+`", section.heading) if section else [] for section in (one, other)]
        if not one or not other or one.level != other.level or codes[0] != codes[1]:
            return [f"{one and one.heading!r} is opposite {other and other.heading!r}"]
    return [
        f"{one.heading!r}, {other.heading!r}: {what}: English {getattr(one, what)}, Chinese {getattr(other, what)}"
        for one, other in zip(*sides, strict=True)
        for what in ("codes", "blocks", "tables", "links")
        if getattr(one, what) != getattr(other, what)
    ]


@pytest.mark.parametrize("pages", PAIRS, ids=lambda pages: pages[0].name)
def test_both_languages_are_in_step(pages: tuple[Path, Path]) -> None:
    """Headings, commands, names, tables and links."""
    found = differences(pages[0].read_text("utf-8"), pages[1].read_text("utf-8"), pages)
    assert not found, "\n".join(found)


ENGLISH_TEXT = """# Night
See `glmd night`, and [settings](docs/settings.md#nights).

    glmd retry 1          # again

| word | what |
|---|---|
| `a` | b |

```text
queued   waits   /var/glm
```

## `rank.EL`
"""
CHINESE_TEXT = """# 夜间
见 [设置](docs/settings.md#nights) 和 `glmd night`。

    glmd retry 1  # 再来一次

| 词 | 含义 |
|---|---|
| `a` | 乙 |

```text
queued   等待   /var/glm
```

## `rank.EL`：驱动
"""


def test_words_may_differ() -> None:
    """Those of comments, pictures and headings among them, and the order within a paragraph."""
    assert differences(ENGLISH_TEXT, CHINESE_TEXT, README) == []


@pytest.mark.parametrize(
    ("old", "new"),
    (
        ("## `rank", "## More\n\n## `rank"),
        ("## `rank.EL`\n", ""),
        ("## `rank.EL`", "### `rank.EL`"),
        ("## `rank.EL`", "## `rank.EI`"),
        ("    glmd retry 1 ", "    glmd retry 2 "),
        ("    glmd retry 1 ", "    glmd status\n    glmd retry 1 "),
        ("`glmd night`", "`glmd night --try`"),
        ("`glmd night`", "`glmd night`, `glmd nights`"),
        ("| `a` | b |\n", "| `a` | b |\n| c | d |\n"),
        ("/var/glm\n", "/srv/glm\n"),
        ("queued  ", "waiting  "),
        ("settings.md#nights", "settings.md#gates"),
    ),
)
def test_what_changes_in_one_language_is_found(old: str, new: str) -> None:
    """In either of them: a section, a command, a name, a row, a link."""
    changed = ENGLISH_TEXT.replace(old, new, 1)
    assert changed != ENGLISH_TEXT
    assert differences(changed, CHINESE_TEXT, README) != []
    assert differences(CHINESE_TEXT, changed, README) != []


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_a_chinese_page_is_chinese(page: Path) -> None:
    """Each heading, paragraph, point and row that says more than names."""
    said: dict[int, str] = {}
    for token in PARSER.parse(page.read_text("utf-8")):
        if token.type == "inline" and token.map:
            said[token.map[0]] = f"{said.get(token.map[0], '')} {_words(token)}"
    assert len(said) > 10
    assert [text for text in said.values() if len(re.findall(r"[A-Za-z]{2,}", text)) > 2 and not _has_han(text)] == []
    headings = [section.heading for section in sections_of(page.read_text("utf-8"), page)]
    said_in = {heading: re.sub("`[^`]+`|rank table|glmd", "", heading) for heading in headings}
    assert [heading for heading, words in said_in.items() if re.search("[a-z]", words) and not _has_han(words)] == []


def _words(token: Token) -> str:
    """Return the words of a text, without names in `…`, what links are called, and HTML."""
    told, links = "", 0
    for part in token.children or ():
        links += part.nesting if part.type in {"link_open", "link_close"} else 0
        told += part.content if part.type == "text" and not links else ""
    return told


def _has_han(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_every_link_leads_to_something(page: Path) -> None:
    """To a file, and to the heading of it that the link names as GitHub does."""
    targets = [target for token in PARSER.parse(page.read_text("utf-8")) for target in _targets(token)]
    assert targets
    for path, _, heading in (target.partition("#") for target in targets if "://" not in target):
        file = page.parent / path if path else page
        assert file.exists(), path
        assert not heading or heading in _anchors(file), f"{path}#{heading}"


def _anchors(file: Path) -> set[str]:
    headings = [section.heading for section in sections_of(file.read_text("utf-8"), file)]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_both_readmes_lead_to_each_other() -> None:
    """At the top, above the first heading."""
    for page, other in (README, README[::-1]):
        assert f"]({other.name})\n" in page.read_text("utf-8").partition("\n## ")[0]


def test_the_chinese_index_lists_every_page_once() -> None:
    """The Chinese page where there is one, else the English page."""
    listed = re.findall(r"^- \[[^\]]*\]\(((?:\.\./)?[\w-]+\.md)\)", INDEX[1].read_text("utf-8"), re.MULTILINE)
    translated = {chinese.name for _, chinese in PAIRS[1:]}
    english = {page.name for page in DOCS.glob("*.md")} - translated - {"index.md"}
    assert sorted(listed) == sorted([*translated, *(f"../{name}" for name in english)])
