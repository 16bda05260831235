"""Who is to be told is told, once and in order, whatever dies, refuses or hangs; and nothing else of glmd notices."""

import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import cast

import pytest
from standardwebhooks import Webhook

from daemon.core.states import State
from daemon.core.store import NewJob, Store
from tests.acceptance.house import House
from tests.listening import Answer, Request, Server, hangs, listening, nothing_listens, says, sends
from tests.teller import Teller

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - an example of the standard's own
OK = says("204 No Content")
FLOOD = 10_000


@pytest.fixture
def teller(tmp_path: Path, house: House) -> Iterator[Teller]:
    """Return one that was not started, over the root of a house."""
    found = Teller(tmp_path, house.root)
    try:
        yield found
    finally:
        found.close()


class Receiver:
    """A server whose answers can be changed."""

    def __init__(self, stack: ExitStack, answer: Answer = OK) -> None:
        self.answer = answer
        self.server: Server = stack.enter_context(listening(self._answer))

    def _answer(self, link: socket.socket, ends: Event) -> None:
        self.answer(link, ends)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.port}/hooks/a-token-of-mine"

    @property
    def requests(self) -> list[Request]:
        """What it was asked."""
        return self.server.requests

    @property
    def ids(self) -> list[str]:
        """The id of each message that came."""
        return [request.headers["webhook-id"] for request in self.requests]

    def events(self) -> list[dict[str, object]]:
        """Return each event that came, in the order in which they came, of batches, too."""
        return [event for request in self.requests for event in events_of(request)]


def events_of(request: Request) -> list[dict[str, object]]:
    """Return the events in one message."""
    document = json.loads(request.body)
    return cast("list[dict[str, object]]", document["data"]["events"] if document["type"] == "batch" else [document])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a server that takes whatever comes."""
    with ExitStack() as stack:
        yield Receiver(stack)


def cancelled(root: Path, *names: str) -> None:
    """Let jobs of these names have come and been cancelled, in a store that no daemon has open."""
    with Store.open(root / "glmd.db") as store:
        for name in names:
            store.move(store.add(NewJob(f"claim {name}", name, prefix="glm")), State.CANCELLED, "somebody asked")


def test_a_training_that_fails_is_told_with_its_cause(house: House, teller: Teller, receiver: Receiver) -> None:
    """Once, signed, with what to do; the state of the job is what glmd says, and the daemon knows nothing of it."""
    teller.destination("hook", receiver.url, SECRET)
    house.environment(STANDIN_FAIL="1")
    house.settings["notify"] = teller.notify
    house.start()
    teller.start()
    house.drop()
    house.until(State.FAILED)
    teller.wait(lambda: receiver.requests, "the message")
    (request,) = receiver.requests
    Webhook(SECRET).verify(request.body, dict(request.headers))
    document = json.loads(request.body)
    assert document["type"] == "job.failed"
    assert document["data"]["job"]["id"] == 1
    assert document["data"]["job"]["state"] == "failed"
    assert document["data"]["diagnosis"]["rank"] == 1
    assert document["data"]["text"] == house.job().reason
    assert teller.stop() == 0
    assert "a-token-of-mine" not in teller.log.read_text()
    assert SECRET not in teller.log.read_text()


def test_a_kill_between_sending_and_noting_it_sends_the_same_again(teller: Teller, receiver: Receiver) -> None:
    """The other side knows it by its id; nothing is lost, and nothing comes a third time."""
    cancelled(teller.root, "before")
    teller.destination("hook", receiver.url, events=["*"])
    teller.start()
    process = teller.process
    assert process is not None

    def dies(link: socket.socket, ends: Event) -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        OK(link, ends)

    receiver.answer = dies
    cancelled(teller.root, "one")
    process.wait(60)
    teller.process = None
    receiver.answer = OK
    teller.start()
    teller.wait(lambda: teller.ask("SELECT 1 FROM messages WHERE state = 'sent'"), "the message to be sent")
    cancelled(teller.root, "two")
    teller.wait(lambda: len(receiver.requests) == 3, "the next message")
    first, again, other = receiver.requests
    assert first.body == again.body
    assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]
    assert [event["type"] for event in events_of(other)] == ["job.cancelled"]


def test_one_dead_server_holds_up_no_other(teller: Teller) -> None:
    """It refuses, hangs, answers 429, 500 or garbage: the others get theirs at once, and that one its own later."""
    answers = {
        "hanging": hangs,
        "busy": says("429 Too Many Requests", retry_after="1"),
        "broken": says("500 Internal Server Error", "out of order"),
        "garbage": sends(b"\x00\xff garbage\r\n\r\n"),
    }
    cancelled(teller.root, "before")
    with ExitStack() as stack:
        receivers = {name: Receiver(stack, answer) for name, answer in answers.items()}
        well = Receiver(stack)
        for name, one in receivers.items():
            teller.destination(name, one.url, events=["*"])
        teller.destination("absent", f"http://127.0.0.1:{stack.enter_context(nothing_listens())}/", events=["*"])
        teller.destination("well", well.url, events=["*"])
        teller.start()
        cancelled(teller.root, "one")
        teller.wait(lambda: well.requests and all(one.requests for one in receivers.values()), "a try of each")
        tried = {"busy", "broken", "garbage", "absent"}
        teller.wait(lambda: {event["destination"] for event in teller.events("message_not_sent")} >= tried, "refusals")
        cancelled(teller.root, "two")
        teller.wait(lambda: len(well.requests) == 2, "what happens next, where all is well")
        for one in receivers.values():
            one.answer = OK
        teller.stop()  # of one that hangs, too, at once; what waits is tried anew at the start
        teller.start()
        teller.wait(lambda: all(len(one.events()) >= 3 for one in receivers.values()), "what waited")
        for one in receivers.values():
            delivered = {request.headers["webhook-id"]: request for request in one.requests}
            assert one.ids[0] == one.ids[1]
            told = [event for request in delivered.values() for event in events_of(request)]
            assert [cast("dict[str, dict[str, object]]", event["data"])["job"]["name"] for event in told] == [
                "one",
                "two",
            ]
    assert "a-token-of-mine" not in teller.log.read_text()


def test_a_weekend_without_a_network_is_told_in_order(teller: Teller) -> None:
    """Ten thousand events at once: people get one message, programs all of them, in order, each once."""
    cancelled(teller.root, "before")
    with ExitStack() as stack:
        people, programs = Receiver(stack, says("200 OK", "{}")), Receiver(stack)
        # Apprise's own form for JSON is one that people get: a title and a text.
        teller.destination("team", people.url.replace("http://", "json://"), events=["*"])
        teller.destination("hook", programs.url, events=["*"])
        teller.start()
        teller.stop()
        flood(teller.root)
        teller.start()
        teller.wait(lambda: len(programs.events()) >= FLOOD, "all events")
        teller.wait(lambda: people.requests, "the one message")
        names = [cast("dict[str, dict[str, object]]", event["data"])["job"]["name"] for event in programs.events()]
        assert names == [f"job{number:05}" for number in range(FLOOD)]
        assert len(set(programs.ids)) == len(programs.ids)
        (request,) = people.requests
        assert "9,980" in json.loads(request.body)["message"]


def flood(root: Path) -> None:
    """Let ten thousand jobs have come and been cancelled."""
    now = datetime.now(UTC).isoformat()
    with Store.open(root / "glmd.db") as store:
        connection = store._connection
        connection.execute("BEGIN")
        for number in range(FLOOD):
            job = 100 + number
            connection.execute(
                "INSERT INTO jobs (id, claim, digest, name, state, reason, attempt, priority, devices, prefix,"
                " submitted, changed) VALUES (?, ?, '', ?, 'cancelled', 'somebody asked', 1, 0, '[]', 'glm', ?, ?)",
                (job, f"claim {job}", f"job{number:05}", now, now),
            )
            connection.executemany(
                "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, 1, '')",
                [(job, now, "queued"), (job, now, "cancelled")],
            )
        connection.execute("COMMIT")


def test_a_destination_that_says_gone_is_told_no_more(teller: Teller, receiver: Receiver) -> None:
    """410 ends it, after a restart too; `glmd notify retry` begins again, with what was dropped."""
    cancelled(teller.root, "before")
    teller.destination("hook", receiver.url, events=["*"])
    teller.start()
    receiver.answer = says("410 Gone")
    cancelled(teller.root, "one")
    teller.wait(lambda: teller.events("destination_gone"), "it to be gone")
    receiver.answer = OK
    teller.stop()
    teller.start()
    cancelled(teller.root, "two")
    teller.wait(lambda: teller.ask("SELECT 1 FROM places WHERE number = 6"), "what happens next to be found")
    shown = json.loads(teller.run("list", "--json").stdout)
    assert shown["gone"].keys() == {"hook"}
    assert len(receiver.requests) == 1
    assert "will be tried at once" in teller.run("retry", "hook").stdout
    teller.wait(lambda: len(receiver.requests) == 2, "what was dropped")
    assert receiver.ids[0] == receiver.ids[1]
    cancelled(teller.root, "three")
    teller.wait(lambda: len(receiver.requests) == 3, "what happens then")


def test_settings_that_are_wrong_change_nothing(teller: Teller, receiver: Receiver) -> None:
    """HUP lets it read them again; where they cannot be used it goes on by those of before, and says so."""
    cancelled(teller.root, "before")
    teller.destination("hook", receiver.url, events=["*"])
    teller.start()
    right = teller.notify
    teller.notify = {"destinations": [{"name": "hook", "url": "https://example.org/a-token-of-mine"}]}
    teller.write_settings()
    teller.send(signal.SIGHUP)
    teller.wait(lambda: teller.events("settings_refused"), "the refusal")
    cancelled(teller.root, "one")
    teller.wait(lambda: receiver.requests, "a message")
    teller.notify = {**right, "destinations": []}
    teller.write_settings()
    teller.read_settings_again()
    assert "a-token-of-mine" not in teller.log.read_text()
    teller.stop()
    teller.notify = {"destinations": [{"name": "hook", "url": "https://example.org/a-token-of-mine"}]}
    teller.write_settings()
    refused = teller.run("serve")
    assert refused.returncode == 2
    assert "a-token-of-mine" not in refused.stderr
    assert "credential:NAME" in refused.stderr


def test_only_one_sends_from_an_outbox(teller: Teller, receiver: Receiver) -> None:
    """Two would send everything twice."""
    cancelled(teller.root, "before")
    teller.destination("hook", receiver.url)
    teller.start()
    second = teller.run("serve")
    assert second.returncode == 3
    assert "another glmd notify serve" in second.stderr


def test_a_try_is_sent_whatever_the_rules(teller: Teller, receiver: Receiver) -> None:
    """`glmd notify test` says what came of it, without a notifier that runs."""
    teller.destination("hook", receiver.url, SECRET, quiet="00:00-23:59")
    done = teller.run("test", "hook")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(receiver.requests[0].body)["type"] == "test"
    receiver.answer = says("403 Forbidden", "no such hook")
    failed = teller.run("test", "hook")
    assert failed.returncode == 1
    assert "403" in failed.stderr
    unknown = teller.run("test", "nobody")
    assert unknown.returncode == 2
    assert "hook" in unknown.stderr


def test_what_waits_can_be_seen(teller: Teller, receiver: Receiver) -> None:
    """`glmd notify list` shows what was sent, what waits and why, while the notifier runs."""
    cancelled(teller.root, "before")
    teller.destination("hook", receiver.url, events=["*"])
    teller.start()
    receiver.answer = says("503 Service Unavailable", "be back soon")
    cancelled(teller.root, "one")
    teller.wait(lambda: teller.events("message_not_sent"), "the refusal")
    shown = json.loads(teller.run("list", "--pending", "--json").stdout)
    (message,) = shown["messages"]
    assert (message["state"], message["tries"], message["events"]) == ("pending", 1, ["job.cancelled"])
    assert "503" in message["answer"]
    receiver.answer = OK
    assert teller.run("retry", message["id"]).returncode == 0
    teller.wait(lambda: len(receiver.requests) == 2, "the next try")
    teller.wait(lambda: "sent" in teller.run("list").stdout, "it to be shown as sent")


def test_whatever_is_killed_each_is_told_once_and_in_order(teller: Teller, receiver: Receiver) -> None:
    """Kills at random moments, answers of every kind: no event is lost, none is in two messages, none overtakes."""
    chance = random.Random(14)  # noqa: S311 - a test
    taken: dict[str, Request] = {}

    def moody(link: socket.socket, ends: Event) -> None:
        request = receiver.requests[-1]
        mood = chance.random()
        if mood < 0.5:
            taken.setdefault(request.headers["webhook-id"], request)
            OK(link, ends)
        elif mood < 0.7:
            taken.setdefault(request.headers["webhook-id"], request)  # it took it, and its answer was lost
        elif mood < 0.9:
            says("503 Service Unavailable", retry_after="0")(link, ends)
        else:
            link.settimeout(0.2)

    cancelled(teller.root, "before")
    teller.destination("hook", receiver.url, events=["*"])
    receiver.answer = moody
    names = [f"job{number:02}" for number in range(30)]
    for name in names:
        if teller.process is None:
            teller.start()
        cancelled(teller.root, name)
        if chance.random() < 0.4:
            time.sleep(chance.uniform(0, 1.2))  # the moment of the kill, not a wait for anything
            teller.stop(signal.SIGKILL)
    receiver.answer = OK
    if teller.process is not None:
        teller.stop()
    teller.start()
    sent = "SELECT COUNT(*) FROM events JOIN messages ON message = messages.id WHERE state = 'sent'"
    teller.wait(lambda: teller.ask(sent) == [(len(names),)], "the last message")
    for request in receiver.requests:
        taken.setdefault(request.headers["webhook-id"], request)
    told = [event for request in taken.values() for event in events_of(request)]
    jobs = [cast("dict[str, dict[str, object]]", event["data"])["job"]["name"] for event in told]
    assert jobs == names
