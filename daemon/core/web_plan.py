"""How the page is served, in a form that takes no memory: daemon.core.web_settings has what checks it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

AUTO = "auto"
_ADDRESS = re.compile(r"(127(?:\.\d{1,3}){3}|localhost|\[::1\]):(\d{1,5})", re.ASCII)


class Action(StrEnum):
    """What the page may be let do."""

    CANCEL = "cancel"
    RETRY = "retry"
    PROMOTE = "promote"


@dataclass(frozen=True)
class WebPlan:
    """What the settings say of the page: each is the one of that name there."""

    listen: str = AUTO
    url: str | None = None
    hosts: tuple[str, ...] = ()
    language: Literal["auto", "en", "zh"] = "auto"
    download: bool = False
    actions: tuple[Action, ...] = ()
    user_header: str | None = None
    npu_exporter: str | None = None
    hide: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """What stands before every path behind a proxy, as `/glmd`; empty for nothing."""
        return urlsplit(self.url).path if self.url else ""


def address_in(listen: str) -> tuple[str, int] | None:
    """Return host and port of `127.0.0.1:8470`; None for what is no address of this host alone."""
    match = _ADDRESS.fullmatch(listen)
    if match is None or not 0 < int(match[2]) < 1 << 16:
        return None
    return match[1].strip("[]"), int(match[2])
