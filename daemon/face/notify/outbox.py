"""The outbox: what there is to tell, what is being told, and up to where glmd's store was read. A SQLite file.

Where it was read and what was found there change in one transaction: so each event is told to each destination, and a
message that may have been sent when the process was killed is sent again with the same id.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Self

from daemon.core.database import transaction
from daemon.core.event_kinds import URGENT, EventKind
from daemon.core.happened import History, Place
from daemon.face.notify.event import Event
from daemon.face.notify.lasting import Lasting
from daemon.face.notify.message import Message, MessageState
from daemon.face.notify.outbox_file import NAME, open_outbox
from daemon.face.notify.outbox_rows import EVENT, LASTING, MESSAGE, event_of, lasting_of, message_of
from daemon.face.notify.standing import Counts

KEPT = timedelta(days=30)
"""How long it is remembered what was sent."""
_DROPPED = ""
"""In place of a message: an event that nobody is told of."""


class Outbox:
    """The outbox in a file, made where it is not there. What SQLite says against it comes out as sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, directory: Path, *, create: bool = True) -> Self:
        """Open the one in `directory`, which is made unless `create` is false. Raises OutboxError."""
        path = directory / NAME
        return cls(open_outbox(path, create=create), path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What was found

    def place(self, history: History) -> Place | None:
        """Return up to where glmd's store was read; None before that was done once."""
        row = self._connection.execute("SELECT number, at FROM places WHERE history = ?", (history,)).fetchone()
        return Place(*row) if row else None

    def lasting(self) -> dict[str, Lasting]:
        """Return what lasts, as it was seen last, by key."""
        rows = self._connection.execute(f"SELECT {LASTING} FROM lasting")  # noqa: S608 - all ours
        return {row[0]: lasting_of(row) for row in rows}

    def take(
        self,
        events: Mapping[str, Iterable[Event]],
        places: Mapping[History, Place],
        lasting: Mapping[str, Lasting] = MappingProxyType({}),
        night: str = "",
    ) -> None:
        """Keep what each destination is to be told, up to where the store was read by that, and what lasts by now.

        `night` is one of which the digest is among the events. It is kept all, or nothing.
        """
        with transaction(self._connection):
            for destination, its_events in events.items():
                self._add(destination, its_events)
            for history, place in places.items():
                self._connection.execute(
                    "INSERT OR REPLACE INTO places (history, number, at) VALUES (?, ?, ?)",
                    (history, place.number, place.at),
                )
            self._keep(lasting)
            if night:
                self._connection.execute("INSERT OR IGNORE INTO digests (night) VALUES (?)", (night,))

    def _add(self, destination: str, events: Iterable[Event]) -> None:
        self._connection.executemany(
            f"INSERT INTO events (destination, {EVENT}, urgent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - all ours
            " ON CONFLICT (destination, key) DO NOTHING",
            (
                (destination, one.key, one.kind, one.at.isoformat(), one.text, one.code, one.job, one.attempt,
                 one.name, one.is_over, one.kind in URGENT)
                for one in events
            ),
        )  # fmt: skip

    def _keep(self, lasting: Mapping[str, Lasting]) -> None:
        self._connection.execute("DELETE FROM lasting")
        self._connection.executemany(
            f"INSERT INTO lasting ({LASTING}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - all ours
            (
                (key, of.kind, of.text, of.code, of.job, of.attempt, of.name, one.since.isoformat(), one.times_reported,
                 one.last and one.last.isoformat())
                for key, one in lasting.items() for of in (one.condition,)
            ),
        )  # fmt: skip

    def has_digest(self, night: str) -> bool:
        """Say whether the digest of a night was made."""
        return self._connection.execute("SELECT 1 FROM digests WHERE night = ?", (night,)).fetchone() is not None

    # What is to be told

    def waiting(self, destination: str, *, urgent: bool, most: int) -> list[Event]:
        """Return the first events that are in no message yet: the urgent ones, or the others; a digest by itself."""
        rows = self._connection.execute(
            f"SELECT {EVENT} FROM events WHERE destination = ? AND message IS NULL AND urgent = ? ORDER BY id LIMIT ?",  # noqa: S608 - all ours
            (destination, urgent, most),
        )
        events: list[Event] = []
        for row in rows:
            event = event_of(row)
            if event.kind is EventKind.DIGEST:
                return events or [event]
            events.append(event)
        return events

    def put(self, message: Message, events: Collection[Event]) -> None:
        """Let `events` be told by `message`."""
        payload = message.payload
        with transaction(self._connection):
            self._connection.execute(
                f"INSERT INTO messages ({MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - all ours
                (message.id, message.destination, message.made.isoformat(), message.is_urgent, payload.title,
                 payload.text, json.dumps(payload.document, ensure_ascii=False), message.state, message.tries,
                 message.due.isoformat(), message.answer),
            )  # fmt: skip
            self._mark(message.destination, events, message.id)

    def drop_events(self, destination: str, events: Collection[Event]) -> None:
        """Let nobody be told of `events`: there is nothing to say of them."""
        with transaction(self._connection):
            self._mark(destination, events, _DROPPED)

    def _mark(self, destination: str, events: Collection[Event], message: str) -> None:
        self._connection.executemany(
            "UPDATE events SET message = ? WHERE destination = ? AND key = ?",
            ((message, destination, event.key) for event in events),
        )

    # Messages

    def to_send(self, destination: str, *, urgent: bool) -> Message | None:
        """Return the oldest message that was not taken yet: of the urgent ones, or of the others."""
        where = "state = ? AND destination = ? AND urgent = ? ORDER BY rowid LIMIT 1"
        return next(self._messages(where, MessageState.PENDING, destination, urgent), None)

    def has_work(self) -> bool:
        """Say whether anything is to be told, or to be sent."""
        (found,) = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM events WHERE message IS NULL)"
            " OR EXISTS (SELECT 1 FROM messages WHERE state = ?)",
            (MessageState.PENDING,),
        ).fetchone()
        return bool(found)

    def made_between(self, destination: str, since: datetime, until: datetime) -> int:
        """Return how many messages that are not urgent were made for a destination in that time."""
        (count,) = self._connection.execute(
            "SELECT COUNT(*) FROM messages WHERE destination = ? AND made > ? AND made <= ? AND NOT urgent",
            (destination, since.isoformat(), until.isoformat()),
        ).fetchone()
        return int(count)

    def tried(self, message: Message, state: MessageState, answer: str, due: datetime) -> None:
        """Note what came of a try."""
        self._connection.execute(
            "UPDATE messages SET state = ?, answer = ?, due = ?, tries = tries + 1 WHERE id = ?",
            (state, answer, due.isoformat(), message.id),
        )

    def messages(self, *states: MessageState) -> Iterator[Message]:
        """Yield the messages in these states, oldest first."""
        marks = ",".join("?" * len(states))
        return self._messages(f"state IN ({marks}) ORDER BY rowid", *states)

    def count(self, state: MessageState) -> int:
        """Return how many messages are in a state."""
        (count,) = self._connection.execute("SELECT COUNT(*) FROM messages WHERE state = ?", (state,)).fetchone()
        return int(count)

    @property
    def changes(self) -> int:
        """How many rows this process has changed so far."""
        return self._connection.total_changes

    def standing(self, names: Collection[str]) -> dict[str, Counts]:
        """Return what there is for each of these destinations, and of whatever else there are messages for."""
        asked = "SELECT destination, state, COUNT(*) FROM messages GROUP BY state, destination"
        counts: dict[str, dict[str, int]] = {name: {} for name in names}
        for name, state, count in self._connection.execute(asked):
            counts.setdefault(name, {})[state] = count
        asked = "SELECT destination, MIN(made) FROM messages WHERE state = ? GROUP BY destination"
        oldest = dict(self._connection.execute(asked, (MessageState.PENDING,)))
        made = {name: datetime.fromisoformat(text) for name, text in oldest.items()}
        return {name: Counts(messages, made.get(name)) for name, messages in counts.items()}

    def kinds_of(self, message: Message) -> list[str]:
        """Return the kinds of the events that a message tells of, in their order."""
        rows = self._connection.execute("SELECT kind FROM events WHERE message = ? ORDER BY id", (message.id,))
        return [kind for (kind,) in rows]

    def events_waiting(self) -> dict[str, int]:
        """Return how many events of each destination are in no message yet."""
        asked = "SELECT destination, COUNT(*) FROM events WHERE message IS NULL GROUP BY destination"
        return dict(self._connection.execute(asked))

    def _messages(self, where: str, *values: object) -> Iterator[Message]:
        for row in self._connection.execute(f"SELECT {MESSAGE} FROM messages WHERE {where}", values):  # noqa: S608 - all ours
            yield message_of(row)

    # Destinations

    def gone(self) -> dict[str, str]:
        """Return the destinations that want nothing any more, each with what it has said."""
        return dict(self._connection.execute("SELECT destination, told FROM gone"))

    def is_gone(self, destination: str, reason: str, at: datetime) -> None:
        """Let a destination be told nothing any more, for it has said so."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO gone (destination, at, told) VALUES (?, ?, ?)",
                (destination, at.isoformat(), reason),
            )
            self._forsake([destination], "the destination asked for no more messages")

    def keep_destinations(self, names: Collection[str]) -> None:
        """Let nobody be told what destinations were to be told that the settings no longer have."""
        with transaction(self._connection):
            known = {name for (name,) in self._connection.execute("SELECT DISTINCT destination FROM events")}
            self._forsake(known - set(names), "the settings no longer have the destination")

    def _forsake(self, destinations: Collection[str], why: str) -> None:
        for name in destinations:
            self._connection.execute(
                "UPDATE events SET message = ? WHERE destination = ? AND message IS NULL", (_DROPPED, name)
            )
            self._connection.execute(
                "UPDATE messages SET state = ?, answer = ? WHERE destination = ? AND state = ?",
                (MessageState.DROPPED, why, name, MessageState.PENDING),
            )

    def retry(self, wanted: str, now: datetime) -> int:
        """Let what was given up or dropped be tried again, and what waits at once; return how many messages those are.

        `wanted` is a message's id, or a destination: of that all.
        """
        with transaction(self._connection):
            self._connection.execute("DELETE FROM gone WHERE destination = ?", (wanted,))
            changed = self._connection.execute(
                "UPDATE messages SET state = ?, due = ?, made = ? WHERE (id = ? OR destination = ?) AND state != ?",
                (MessageState.PENDING, now.isoformat(), now.isoformat(), wanted, wanted, MessageState.SENT),
            )
        return changed.rowcount

    def try_at_once(self, now: datetime) -> None:
        """Let all that waits for its next try be tried: something may have been fixed."""
        self._connection.execute("UPDATE messages SET due = ? WHERE state = ?", (now.isoformat(), MessageState.PENDING))

    def forget(self, now: datetime) -> None:
        """Forget what was over long ago."""
        before = (now - KEPT).isoformat()
        with transaction(self._connection):
            self._connection.execute(
                "DELETE FROM messages WHERE made < ? AND state != ?", (before, MessageState.PENDING)
            )
            self._connection.execute(
                "DELETE FROM events WHERE at < ? AND message IS NOT NULL AND message NOT IN (SELECT id FROM messages)",
                (before,),
            )
