"""`glmd notify`: the process that tells people, and what there is to see and do of it."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from uuid import uuid4

from daemon.commands.own_parser import Parser
from daemon.commands.terminal.streaming import json_lines, write
from daemon.commands.terminal.table import table
from daemon.core.event_kinds import EventKind
from daemon.face.notify.credentials import SOURCE, Credentials
from daemon.face.notify.event import Event
from daemon.face.notify.message import Message, MessageState, Outcome
from daemon.face.notify.outbox import Outbox
from daemon.face.notify.plan import Files, Plan
from handlers.codes import Code
from handlers.errors import BadInputError, HandlerError
from handlers.printable import printable

STATE = Path("/var/lib/glmd-notify")
SHOWN = 20
"""Messages that were sent, the newest."""


class NotSentError(HandlerError):
    """A message for a try was not taken."""

    code = Code.NOTIFY_NOT_SENT


def notify(words: Sequence[str]) -> None:
    """Send people messages: serve, test NAME, list, retry."""
    given = _parser().parse_args(words)
    credentials = given.credentials or Credentials.of(os.environ).directory
    state = given.state or Path(os.environ.get("STATE_DIRECTORY") or STATE)
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    files = Files(given.config, given.root, credentials, state, Path(runtime) if runtime else None)
    match given.what:
        case "serve":
            from daemon.face.notify.process import serve  # noqa: PLC0415 - what the others need not

            serve(files)
        case "test":
            write([_tested(files, given.name)])
        case "list":
            with Outbox.open(files.state, create=False) as outbox:
                write(_listed(outbox, given))
        case "retry":
            write([_retried(files, given.wanted)])


def _parser() -> Parser:
    parser = Parser(prog="glmd notify", description=notify.__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True, metavar="serve|test|list|retry")
    _command(commands, "serve", "Send messages until it is stopped; glmd-notify.service runs this.")
    test = _command(commands, "test", "Send a test message now, and show the result.")
    test.add_argument("name", metavar="NAME", help="The name of a destination in the settings.")
    listing = _command(commands, "list", "Show the messages that wait, were given up, and were sent last.")
    shown = listing.add_mutually_exclusive_group()
    shown.add_argument("--pending", action="store_true", help="Only messages that wait for their next try.")
    shown.add_argument("--failed", action="store_true", help="Only messages that were given up or dropped.")
    listing.add_argument("--json", action="store_true", help="Print JSON; docs/cli.md lists its keys.")
    retry = _command(commands, "retry", "Send messages that were given up again, and those that wait at once.")
    retry.add_argument("wanted", metavar="ID|NAME", help="A message, or a destination for all of its messages.")
    return parser


def _command(commands: "argparse._SubParsersAction[Parser]", name: str, text: str) -> Parser:
    parser: Parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.add_common_options()
    parser.add_argument("--state", type=Path, metavar="DIR", help=f"Where the outbox is, if not {STATE}.")
    text = f"The directory of the credentials; default: that of glmd-notify.service, or {SOURCE}."
    parser.add_argument("--credentials", type=Path, metavar="DIR", help=text)
    return parser


def _plan(files: Files) -> Plan:
    from daemon.face.notify.planning import read_plan  # noqa: PLC0415 - what serve leaves to a child

    return read_plan(files)


def _tested(files: Files, name: str) -> str:
    from daemon.face.notify.tasks import send_message  # noqa: PLC0415 - as above
    from daemon.face.notify.texts.composing import compose  # noqa: PLC0415 - as above

    plan, now = _plan(files), datetime.now(UTC)
    destination = plan.destination(name)
    if destination is None:
        raise _no_destination(name, plan)
    event = Event(EventKind.TEST, f"test@{now.isoformat()}", now)
    payload = compose([event], {}, destination.language, plan)
    message = Message(f"msg_{uuid4().hex}", name, now, False, payload, MessageState.PENDING, 0, now, "")
    answer = send_message(files.credentials, destination, message)
    if answer.outcome is not Outcome.SENT:
        raise NotSentError(f"{name}: not sent: {answer.text}")
    return printable(f"{name}: sent: {answer.text or 'taken'}")


def _no_destination(name: str, plan: Plan) -> BadInputError:
    known = ", ".join(one.name for one in plan.destinations) or "none"
    text = f"there is no destination {name!r} in the settings (notify: destinations:); there are: {known}"
    return BadInputError(text, Code.NOTIFY_NO_DESTINATION)


def _retried(files: Files, wanted: str) -> str:
    with Outbox.open(files.state, create=False) as outbox:
        was_gone = wanted in outbox.gone()
        count = outbox.retry(wanted, datetime.now(UTC))
    if not count and not was_gone:
        raise BadInputError(
            f"nothing of {wanted!r} is left to send; glmd notify list shows what there is", Code.NOTIFY_NO_DESTINATION
        )
    text = f"{count} message{'s' * (count != 1)} will be tried at once"
    return printable(f"{wanted}: {text}{', and glmd sends it new messages again' if was_gone else ''}")


# Listing


def _listed(outbox: Outbox, given: argparse.Namespace) -> Iterator[str]:
    messages = list(_wanted(outbox, given))
    waiting, gone = outbox.events_waiting(), outbox.gone()
    if given.json:
        return json_lines(_document(outbox, messages, waiting, gone))
    return chain(_table(messages), _notes(waiting, gone))


def _wanted(outbox: Outbox, given: argparse.Namespace) -> Iterator[Message]:
    if not given.failed:
        yield from outbox.messages(MessageState.PENDING)
    if not given.pending:
        yield from outbox.messages(MessageState.FAILED, MessageState.DROPPED)
    if not given.pending and not given.failed:
        yield from list(outbox.messages(MessageState.SENT))[-SHOWN:]


def _table(messages: Sequence[Message]) -> Iterator[str]:
    if not messages:
        yield "no messages"
        return
    header = ("MADE", "DESTINATION", "STATE", "TRIES", "NEXT TRY", "TITLE", "ANSWER", "ID")
    yield from table(header, map(_row, messages), right=frozenset({3}))


def _row(message: Message) -> tuple[str, ...]:
    is_pending = message.state is MessageState.PENDING
    return (
        f"{message.made.astimezone():%Y-%m-%d %H:%M}",
        message.destination,
        str(message.state),
        str(message.tries),
        f"{message.due.astimezone():%Y-%m-%d %H:%M}" if is_pending else "",
        message.payload.title,
        message.answer,
        message.id,
    )


def _notes(waiting: Mapping[str, int], gone: Mapping[str, str]) -> Iterator[str]:
    for name, count in waiting.items():
        yield printable(
            f"{name}: {count:,} event{'s' * (count != 1)} wait for their message: quiet hours, or its limit"
        )
    for name, reason in gone.items():
        yield printable(
            f"{name}: glmd sends it no more messages, because it asked for that: {reason}; glmd notify retry {name}"
        )


def _document(
    outbox: Outbox, messages: Sequence[Message], waiting: Mapping[str, int], gone: Mapping[str, str]
) -> Iterator[tuple[str, object]]:
    yield "messages", (_as_json(outbox, message) for message in messages)
    yield "waiting", dict(waiting)
    yield "gone", dict(gone)


def _as_json(outbox: Outbox, message: Message) -> dict[str, object]:
    return {
        "id": message.id,
        "destination": message.destination,
        "state": message.state,
        "made": message.made.isoformat(),
        "tries": message.tries,
        "next_try": message.due.isoformat() if message.state is MessageState.PENDING else None,
        "events": outbox.kinds_of(message),
        "title": message.payload.title,
        "answer": message.answer,
    }
