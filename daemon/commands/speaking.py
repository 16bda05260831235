"""In which language a command speaks to people."""

import os
from collections.abc import Mapping

from daemon.commands.terminal.table import shows
from daemon.face.words.language import Language
from daemon.face.words.reading import Words, read_words

_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Of which the first that is set counts, see locale(7)."""


def words_of(asked: Language | None) -> Words:
    """Return the words of the language that was asked for, or else of this user's locale."""
    return read_words(asked or _of_locale(os.environ))


def _of_locale(environment: Mapping[str, str]) -> Language:
    locale = next((value for name in _VARIABLES if (value := environment.get(name))), "")
    is_chinese = locale.lower().startswith("zh") and shows("中文")
    return Language.ZH if is_chinese else Language.EN
