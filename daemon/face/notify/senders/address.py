"""What an address means: a webhook, a mailbox, or a chat's robot; nothing shows more of one than scheme and host."""

import ipaddress
import re
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, quote, unquote, urlsplit

from daemon.face.notify.secret import HIDDEN, Secret
from daemon.face.notify.senders import robots
from handlers.codes import Code
from handlers.errors import BadInputError


@dataclass(frozen=True)
class Webhook:
    """A URL that takes the message as JSON."""

    url: Secret
    """As it is called: without user and password, and nothing but ASCII."""
    login: Secret | None
    """`USER:PASSWORD`, where the URL had them."""
    scheme: str
    host: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}/{HIDDEN}"


class Security(Enum):
    """How a connection to a mail server is kept from readers."""

    TLS = "from its first byte"
    STARTTLS = "before anything is said"
    NONE = "not at all"


@dataclass(frozen=True)
class Mail:
    """A mail server, and who gets the message."""

    host: str
    port: int
    security: Security
    user: Secret | None
    password: Secret | None
    sender: str = field(repr=False)
    recipients: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{'smtps' if self.security is Security.TLS else 'smtp'}://{self.host}/{HIDDEN}"


@dataclass(frozen=True)
class Robot:
    """A chat's robot, as Apprise writes it; where others have a host, it may have its token."""

    url: Secret
    scheme: str

    def __str__(self) -> str:
        return f"{self.scheme}://{HIDDEN}"


Address = Webhook | Mail | Robot

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,19})://(?=.)")
_MAIL_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\"]+")
"""Without the quotes and comments of RFC 5322, which nobody writes."""
_MAIL_KEYS = {"from", "to", "tls"}
_PORTS = {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}
_SAFE = "/?#[]@!$&'()*+,;=:%~-._"
"""What stays as it is in a URL: its own marks, and what was escaped before (RFC 3986)."""


def address_of(text: str) -> Address:
    """Return what the address `text` means.

    Raises BadInputError where it is none, or means a robot and Apprise is not installed or does not know it.
    """
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if not scheme:
        raise _unusable("", "it does not begin as https://, smtps:// or dingtalk:// do")
    if not text.isprintable() or " " in text:
        raise _unusable(scheme, "it has blanks, or characters that cannot be seen: write them as %20")
    if scheme in {"https", "http"}:
        return _webhook_or_robot(text, scheme)
    if scheme in {"smtp", "smtps"}:
        return _mail(text, scheme)
    return Robot(Secret(text), robots.scheme_of(Secret(text), scheme))


def notes_of(address: Address) -> list[str]:
    """Return what somebody should know of an address that works: whether others can read what is sent to it."""
    match address:
        case Webhook(scheme="http", host=host) if not _is_loopback(host):
            return [f"{address}: others can read and change messages on the way: use https:// if the receiver has it"]
        case Mail(security=Security.NONE, host=host, password=password) if not _is_loopback(host):
            what = "messages and the password" if password else "messages"
            return [f"{address}: with tls=off others can read {what} on the way"]
    return []


def _webhook_or_robot(text: str, scheme: str) -> Webhook | Robot:
    parts = _split(text, scheme)
    host = _ascii_host(parts, scheme)
    if "@" in parts.path + parts.query:  # of a password with a slash, the user would pass for the host
        raise _unusable(scheme, "behind the host, and in user and password, @ is written %40, and / in those %2F")
    if host in robots.FORMS:
        return Robot(Secret(text), robots.scheme_of(Secret(text), scheme, host))
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if parts.port is None else f"{shown}:{parts.port}"
    login = parts.netloc.rpartition("@")[0]
    return Webhook(
        url=Secret(
            parts._replace(netloc=netloc, path=quote(parts.path, _SAFE), query=quote(parts.query, _SAFE)).geturl()
        ),
        login=Secret(unquote(login)) if login else None,
        scheme=scheme,
        host=shown,
    )


def _mail(text: str, scheme: str) -> Mail:
    parts = _split(text, scheme)
    host = _ascii_host(parts, scheme)
    if parts.path not in {"", "/"}:
        raise _unusable(scheme, "it has a path; in user and password, / is written %2F and @ is written %40")
    options: dict[str, list[str]] = {}
    for pair in filter(None, parts.query.split("&")):
        key, _, value = pair.partition("=")  # parse_qsl would take the + of an address for a blank
        options.setdefault(key, []).extend(unquote(one) for one in value.split(",") if one)
    if not options.keys() <= _MAIL_KEYS or options.get("tls", ["off"]) != ["off"]:
        raise _unusable(scheme, "behind the ? there can be from=, to= and tls=off")
    if len(options.get("from", [])) != 1 or not options.get("to"):
        raise _unusable(scheme, "it needs ?from=ADDRESS&to=ADDRESS,ADDRESS")
    security = _security(scheme, host, is_off="tls" in options)
    user, password = (unquote(part) if part else "" for part in (parts.username, parts.password))
    if not (user + password).isascii():
        raise _unusable(scheme, "user and password can have ASCII characters only: SMTP's log-in has no others")
    for one in (*options["from"], *options["to"]):
        if not _MAIL_ADDRESS.fullmatch(one):
            raise _unusable(scheme, "from= or to= has no mail address")
    return Mail(
        host=host,
        port=parts.port or _PORTS[security],
        security=security,
        user=Secret(user) if user else None,
        password=Secret(password) if password else None,
        sender=options["from"][0],
        recipients=tuple(options["to"]),
    )


def _security(scheme: str, host: str, *, is_off: bool) -> Security:
    if scheme == "smtps":
        if is_off:
            raise _unusable(scheme, "smtps is TLS: tls=off is for smtp://")
        return Security.TLS
    return Security.NONE if is_off or _is_loopback(host) else Security.STARTTLS


def _split(text: str, scheme: str) -> SplitResult:
    """Return the parts of a URL. Raises BadInputError, in whose context there is nothing of it."""
    parts: SplitResult | None = None
    try:
        parts = urlsplit(text)
        if not parts.hostname or parts.port == 0 or parts.fragment:
            parts = None
    except ValueError:  # of the port, and of brackets
        parts = None
    if parts is None:
        raise _unusable(
            scheme,
            "it has no host, or a port that is none; in user and password, / is %2F, @ is %40, # is %23, : is %3A",
        )
    return parts


def _ascii_host(parts: SplitResult, scheme: str) -> str:
    host = parts.hostname or ""
    try:
        name = host if ":" in host else host.encode("idna").decode()  # a name of ASCII is held against DNS's rules, too
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"[\w.:%-]+", name):
        raise _unusable(scheme, "its host is no name")
    return name


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _unusable(scheme: str, why: str) -> BadInputError:
    what = f"{robots.shown(scheme)}://{HIDDEN}" if scheme else "the address"
    return BadInputError(f"{what}: {why}", Code.NOTIFY_ADDRESS)
