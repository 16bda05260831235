"""Mail, with the standard library: plain text in UTF-8, over TLS."""

import smtplib
import socket
import ssl
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import datetime
from email import policy
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import quote

from daemon.face.notify.message import Answer, Outcome, Payload
from daemon.face.notify.secret import Secret, redacted
from daemon.face.notify.senders.address import Mail, Security
from daemon.face.notify.senders.calling import why_not
from daemon.face.notify.senders.limits import MOST_CHARACTERS, Limits
from handlers.printable import printable, printable_lines

_POLICY = policy.SMTP.clone(cte_type="7bit")
"""Bodies in base64 or quoted-printable: every server takes them."""


def send(address: Mail, payload: Payload, message_id: str, now: datetime, limits: Limits) -> Answer:
    """Hand `payload` to the mail server, and say what came of it: SENT where anybody at all gets it."""
    message = message_of(address, payload, message_id, now)
    try:
        with closing(_connect(address, limits)) as smtp:
            refused = smtp.send_message(message, address.sender, address.recipients)
            with suppress(OSError):  # the mail is theirs by now, however they part
                smtp.quit()
    except (OSError, ValueError) as error:  # smtplib's own are OSErrors; a host name can be none
        return Answer(Outcome.FAILED, f"{_shown(address)}: {_why(error, address, limits)}")
    if refused:
        return Answer(Outcome.SENT, _refusals(refused.values(), address))
    return Answer(Outcome.SENT)


def message_of(address: Mail, payload: Payload, message_id: str, now: datetime) -> EmailMessage:
    """Return the mail; it has the same Message-ID at each try, by which servers know a double."""
    message = EmailMessage(_POLICY)
    domain = address.sender.rpartition("@")[2]
    message["From"] = _address(address.sender, "glmd")
    message["To"] = [_address(one) for one in address.recipients]
    message["Subject"] = printable(payload.title)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{quote(printable(message_id), safe='')}.glmd@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: so that no out-of-office answers
    message.set_content(printable_lines(payload.text))
    return message


def _address(text: str, name: str = "") -> MailAddress:
    user, _, domain = text.rpartition("@")
    return MailAddress(name, user, domain)  # as `addr_spec` it would take ASCII only


def _connect(address: Mail, limits: Limits) -> smtplib.SMTP:
    """Return a connection that is as safe as the address wants it, and logged in. Raises OSError."""
    kind = _Tls if address.security is Security.TLS else smtplib.SMTP
    smtp = kind(address.host, address.port, _own_name(), limits.seconds)
    try:
        if address.security is Security.STARTTLS:
            smtp.starttls(context=ssl.create_default_context())
        if address.user and address.password:
            smtp.login(address.user.reveal(), address.password.reveal())
    except BaseException:
        smtp.close()
        raise
    return smtp


class _Tls(smtplib.SMTP_SSL):
    """Its own default verifies nothing."""

    def __init__(self, host: str, port: int, local_hostname: str, timeout: float) -> None:
        super().__init__(host, port, local_hostname, timeout=timeout, context=ssl.create_default_context())


def _own_name() -> str:
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"  # smtplib would ask DNS for it, which can take its time


def _why(error: Exception, address: Mail, limits: Limits) -> str:
    match error:
        case smtplib.SMTPAuthenticationError(smtp_code=code):
            reason = f"it does not take user and password ({code}): see the credential"
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            reason = _refusals(refused.values(), address)
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=reply) if code > 0:
            reason = _reply_text(code, reply, address)
        case smtplib.SMTPNotSupportedError():
            reason = (
                "it does not offer what is needed, STARTTLS, a log-in or addresses in UTF-8: "
                "smtps:// is TLS from the first byte, tls=off is no TLS"
            )
        case smtplib.SMTPServerDisconnected(__context__=OSError() as inner):
            reason = why_not(inner, limits)
        case smtplib.SMTPServerDisconnected():
            reason = "it closed the connection: see its log, and whether it wants smtps://"
        case smtplib.SMTPException():
            reason = "what answers there does not speak SMTP: see the port"
        case _:
            reason = why_not(error, limits)
    return reason


def _refusals(refused: Iterable[tuple[int, bytes]], address: Mail) -> str:
    """Return how many recipients were refused, and what was said of the first."""
    all_of_them = list(refused)
    code, reply = all_of_them[0]
    return f"{len(all_of_them)} of {len(address.recipients)} recipients refused: {_reply_text(code, reply, address)}"


def _reply_text(code: int, reply: bytes | str, address: Mail) -> str:
    text = reply if isinstance(reply, str) else reply.decode(errors="replace")
    secrets = [Secret(one) for one in (address.sender, *address.recipients)]
    secrets += [one for one in (address.user, address.password) if one]
    return f"SMTP {code}: {printable(redacted(' '.join(text.split()), secrets))[:MOST_CHARACTERS]}"


def _shown(address: Mail) -> str:
    return str(address).rpartition("/")[0]
