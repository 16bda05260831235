"""The languages in which glmd speaks to people."""

from enum import StrEnum


class Language(StrEnum):
    """What a message is written in."""

    EN = "en"
    ZH = "zh"
