"""A page is in the language that its address names, else in that of the settings, else in that of the browser."""

import pytest

from daemon.face.web.languages import language_of
from daemon.face.words.language import Language
from tests.unit.daemon.face.diary import TRAINING, Diary, utc
from tests.unit.daemon.face.web.visitor import Visitor, addresses


@pytest.mark.parametrize(
    ("setting", "query", "accepted", "expected"),
    (
        ("auto", "", "", "en"),
        ("auto", "", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("auto", "", "zh-Hant-TW", "zh"),
        ("auto", "", "fr, zh;q=0.5, en;q=0.6", "en"),
        ("auto", "", "en;q=0, zh;q=0.1", "zh"),
        ("auto", "", "de,fr", "en"),
        ("auto", "", ";;q=,,;q=x,zh;q=nan", "en"),
        ("auto", "", "zh" * 100_000, "en"),
        ("en", "", "zh", "en"),
        ("zh", "", "en", "zh"),
        ("zh", "en", "zh", "en"),
        ("en", "zh", "en", "zh"),
        ("zh", "xx", "en", "zh"),
    ),
)
def test_which_it_is(setting: str, query: str, accepted: str, expected: str) -> None:
    """The address goes first."""
    chosen, language = language_of(setting, {"lang": query} if query else {}, {"accept-language": accepted})
    assert language == expected
    assert chosen == (query if query in set(Language) else None)


def test_links_keep_what_the_address_names(visitor: Visitor, diary: Diary) -> None:
    """And a browser's own language is in none of them."""
    diary.job("run", utc("2026-11-28 02:00"), *TRAINING)
    for path in addresses():
        named = visitor.get(f"{path}?lang=zh")
        if "html" in named.headers["content-type"]:
            assert '<html lang="zh">' in named.text
            assert 'href="/?lang=zh"' in named.text
            assert 'href="/?lang=zh"' not in visitor.get(path, accept_language="zh").text
