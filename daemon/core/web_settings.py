"""The settings of the page: where it listens, how people reach it, and what it lets them do."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from daemon.core.setting_sections import Section
from daemon.core.web_plan import AUTO, Action, WebPlan, address_in

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]", re.ASCII)


def _listen(text: str) -> str:
    if text == AUTO or text.startswith("/") or address_in(text) is not None:
        return text
    raise ValueError(
        f"{text!r:.100}: write auto, the path of a socket as /run/glmd/web.sock, or 127.0.0.1:PORT; others reach it by "
        "ssh -L (glmd web link) or a proxy"
    )


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{text!r:.200} is no address of a page; write https://HOST, or https://HOST/PREFIX")
    return text.rstrip("/")


def _exporter(text: str) -> str:
    parts = urlsplit(text)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    is_plain = parts.scheme == "http" and not (parts.query or parts.fragment or "@" in parts.netloc)
    if not is_plain or address_in(f"{host}:{_port_of(text)}") is None:
        raise ValueError(f"{text!r:.200} is no exporter of this host; write http://127.0.0.1:8082/metrics")
    return text


def _port_of(text: str) -> int:
    try:
        return urlsplit(text).port or 80
    except ValueError:
        return 0


def _name(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r:.100} is no name of a host; write it without scheme and port")
    return text.lower()


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r:.100} is no regular expression: {error}") from error
    return text


class WebSettings(Section):
    """How `glmd web` serves the page."""

    listen: Annotated[str, AfterValidator(_listen)] = AUTO
    """auto: the socket that systemd gave, else 127.0.0.1:8470."""
    url: Annotated[str, AfterValidator(_url)] | None = None
    """How people reach it: for links, and for the prefix behind a proxy."""
    hosts: tuple[Annotated[str, AfterValidator(_name)], ...] = ()
    """Names by which it may be asked, besides that of `url` and those of this host itself."""
    language: Literal["auto", "en", "zh"] = "auto"
    """auto: what the reader's browser prefers."""
    download: bool = False
    """Whether merged files can be fetched."""
    actions: tuple[Action, ...] = ()
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """In which header a proxy says who asks; it is believed at the Unix socket alone."""
    npu_exporter: Annotated[str, AfterValidator(_exporter)] | None = None
    """Where npu-exporter of this host tells how the devices are; None: nobody is asked."""
    hide: Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], Field(max_length=100)] = ()
    """More names of keys whose values are not shown, as regular expressions."""

    @model_validator(mode="after")
    def _actions_are_named_once(self) -> Self:
        if len(set(self.actions)) != len(self.actions):
            raise ValueError("actions: one is named twice")
        return self

    def plan(self) -> WebPlan:
        """Return what they say."""
        return WebPlan(**dict(self))
