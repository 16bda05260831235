"""A real SMTP server on loopback, aiosmtpd's, that decides as it is told and keeps the mails that it took."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from threading import Thread
from typing import TYPE_CHECKING, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    from email.message import EmailMessage


class Post:
    """Its decisions, by what is decided: `sender`, `data`, `quit`, or a recipient's name; and its mails."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.was_tls = False

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name, as those below
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender, or not."""
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("sender", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        answer = self.answers.get(address.partition("@")[0].replace(".", "_"), "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer.replace("ADDRESS", address)

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail, or not."""
        answer = self.answers.get("data", "250 OK")
        if answer.startswith("250"):
            parsed = message_from_bytes(cast("bytes", envelope.content), policy=policy.default)
            self.mails.append(cast("EmailMessage", parsed))
            self.recipients = envelope.rcpt_tos
            self.was_tls = session.ssl is not None
        return answer

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        """Say good-bye, or something else."""
        return self.answers.get("quit", "221 Bye")


def is_ann(_server: SMTP, _session: Session, _envelope: Envelope, _way: str, data: object) -> AuthResult:
    """Let ann in; to others repeat what only she should know."""
    is_she = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ann", b"pass-word")
    return AuthResult(success=is_she, handled=False, message=None if is_she else "535 5.7.8 not ann, pass-w0rd")


@contextmanager
def serving(
    post: Post, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, **options: object
) -> Iterator[int]:
    """Serve until the block ends, over TLS from the first byte where there is `tls`; yield the port."""
    loop = asyncio.new_event_loop()

    def one() -> SMTP:
        return SMTP(post, loop=loop, tls_context=starttls, require_starttls=bool(starttls), **options)

    server = loop.run_until_complete(loop.create_server(one, "127.0.0.1", 0, ssl=tls))
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    """End it with all its connections."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
