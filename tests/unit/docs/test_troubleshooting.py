"""Promises of docs/troubleshooting.md: an entry for each code, and for nothing that is none; in Chinese the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.face.troubleshooting import read_entries
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from handlers.codes import Code
from handlers.rank_log.known_errors import KNOWN_ERRORS, SIGNALS

HOUSE = Path(__file__).parents[3]
PAGES = {
    Language.EN: HOUSE / "docs" / "troubleshooting.md",
    Language.ZH: HOUSE / "docs" / "zh" / "troubleshooting.md",
}
TEXTS = {language: page.read_text("utf-8") for language, page in PAGES.items()}
ENTRIES = {language: read_entries(language) for language in Language}
TO_DO = {Language.EN: r"\bTo do: |please report it", Language.ZH: "处理：|报告给我们"}
ZH = read_words(Language.ZH)


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, up to the next one."""

    level: str
    heading: str
    body: str

    @property
    def code(self) -> str:
        """Its code or its family; empty for a heading of neither."""
        found = re.match(r"`([^`]+)`", self.heading)
        return found[1] if found else ""

    @property
    def quoted(self) -> set[str]:
        """Messages, commands, keys and files."""
        return {" ".join(span.split()) for span in re.findall(r"`([^`]+)`", self.body)}

    @property
    def commands(self) -> list[str]:
        """Lines of blocks, without their comments."""
        lines = re.findall(r"^ {4}(.+)", self.body, re.MULTILINE)
        return [re.sub(r" {2,}# .*", "", line) for line in lines]

    @property
    def pages(self) -> list[str]:
        """Where its links lead to; headings have names of their own in each language."""
        return sorted(Path(page).name for page in re.findall(r"\]\(([^)#]*)", self.body))

    @property
    def rows(self) -> int:
        """Of its tables."""
        return len(re.findall(r"^\|", self.body, re.MULTILINE))


def sections(language: Language) -> Iterator[Section]:
    """Yield all of a page."""
    for part in re.split(r"^(?=#+ )", TEXTS[language], flags=re.MULTILINE)[1:]:
        first, _, body = part.partition("\n")
        level, _, heading = first.partition(" ")
        yield Section(level, heading, body)


@pytest.mark.parametrize("language", Language)
def test_every_code_has_an_entry_and_every_entry_a_code(language: Language) -> None:
    """By its heading, or in the table of what ranks' logs say."""
    entries = ENTRIES[language]
    assert [code for code in Code if code not in entries] == [], f"{PAGES[language]} has no entry for these"
    assert set(entries) == set(Code)
    headings = re.findall(r"^### `([^`]+)`", TEXTS[language], re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) <= {str(code) for code in Code}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("code", Code)
def test_an_entry_can_be_found_by_its_code_and_says_what_to_do(code: Code, language: Language) -> None:
    """Who searches the file for the code finds it, too."""
    assert f"`{code}`" in TEXTS[language], "in backticks: a heading, or for a rank's error the list below the table"
    entry = ENTRIES[language][code]
    assert entry.summary
    assert entry.summary[-1] not in ".。"
    assert re.search(TO_DO[language], entry.text, re.IGNORECASE)


@pytest.mark.parametrize("language", Language)
def test_the_families_have_their_codes_below_them(language: Language) -> None:
    """Under `## merge` are those of merging, all of them."""
    for part in re.split(r"^## ", TEXTS[language], flags=re.MULTILINE)[1:]:
        family = re.match(r"`([\w-]+)`", part)
        inside = {code.partition(".")[0] for code in re.findall(r"^### `([^`]+)`", part, re.MULTILINE)}
        assert inside <= ({family[1]} if family else set())


@pytest.mark.parametrize("language", Language)
def test_links_lead_to_what_is_there(language: Language) -> None:
    """From where the page lies; of headings `make docs` takes care."""
    for name in re.findall(r"\]\(([^)#]+)", TEXTS[language]):
        assert (PAGES[language].parent / name).is_file(), name


def test_both_languages_have_the_same_sections_in_the_same_order() -> None:
    """Who adds a code to one page adds it to the other."""
    english, chinese = list(sections(Language.EN)), list(sections(Language.ZH))
    assert [(each.level, each.code) for each in chinese] == [(each.level, each.code) for each in english]


def test_both_languages_quote_the_same() -> None:
    """Messages as glmd writes them, commands as they are typed, pages to read on, rows of tables."""
    pairs = list(zip(sections(Language.EN), sections(Language.ZH), strict=True))
    differing = {english.heading: english.quoted ^ chinese.quoted for english, chinese in pairs}
    assert {heading: quoted for heading, quoted in differing.items() if quoted} == {}
    for english, chinese in pairs:
        assert chinese.commands == english.commands, english.heading
        assert chinese.pages == english.pages, english.heading
        assert chinese.rows == english.rows, english.heading


def test_chinese_headings_are_the_titles() -> None:
    """As the page and messages have them: daemon/face/words/zh.toml."""
    found = {each.code: each.heading for each in sections(Language.ZH) if each.level == "###" and each.code}
    assert found == {code: f"`{code}`：{ZH.title(code)}" for code in found}


def test_the_chinese_table_is_that_of_the_words() -> None:
    """Cause and remedy of a known error are those of zh_errors.toml, word for word, in the order of the English."""
    errors = (*KNOWN_ERRORS, *SIGNALS)
    rows = [f"| {error.name} | {ZH.advice[error.code].cause} | {ZH.advice[error.code].remedy} |" for error in errors]
    assert [row for row in rows if row not in TEXTS[Language.ZH]] == [], "add these rows"
    assert "\n".join(rows) in TEXTS[Language.ZH], "the rows have another order than KNOWN_ERRORS"


def test_every_chinese_sentence_of_an_entry_is_chinese() -> None:
    """No entry was left in English."""
    for code, entry in ENTRIES[Language.ZH].items():
        assert re.search(r"[\u4e00-\u9fff]", entry.summary), code
        assert "Says:" not in entry.text
        assert "To do:" not in entry.text
