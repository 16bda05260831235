"""Promises of docs/notifications.md: what it shows works."""

import re
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from daemon.face.notify.message import Outcome, Payload
from daemon.face.notify.secret import Secret
from daemon.face.notify.senders.address import address_of
from daemon.face.notify.senders.sending import send

TEXT = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text()
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VALUES = {
    "BOT_TOKEN": "123456789:abcdefg_hijklmnop",
    "CHAT_ID": "12315544",
    "TOKEN_A/TOKEN_B/TOKEN_C": "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "ADDRESS": "ann@mail.example",
}
ADDRESSES = [
    address
    for row in re.findall(r"^\| .+? \| (`\w+://.+) \|$", TEXT, re.MULTILINE)
    for address in re.findall(r"`(\w+://\S+)`", row)
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_address_is_one(address: str) -> None:
    """With values where the table has words."""
    for word, value in VALUES.items():
        address = address.replace(word, value)
    address_of(address)


def test_the_table_has_every_way() -> None:
    """Ten chats and servers, at least."""
    schemes = {address.partition(":")[0] for address in ADDRESSES}
    chats = {"dingtalk", "feishu", "lark", "wecombot", "slack", "tgram", "schan", "barks"}
    assert schemes == {"https", "smtps"} | chats


@pytest.mark.parametrize(("key", "told"), ((KEY, "HTTP 204"), ("whsec_" + "A" * 32, "HTTP 401")))
def test_the_receiver_verifies(key: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What glmd has signed with its key, and nothing else."""
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    classes: dict[str, type[BaseHTTPRequestHandler]] = {}
    exec(re.sub(r"^HTTPServer.*\n", "", program.replace("whsec_…", KEY), flags=re.MULTILINE), classes)  # noqa: S102
    with HTTPServer(("127.0.0.1", 0), classes["Receiver"]) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        address = address_of(f"http://127.0.0.1:{server.server_port}/")
        payload = Payload("t", "x", {"type": "job.done", "data": {"job": 41}})
        answer = send(address, Secret(key), payload, "msg_41", datetime.now(UTC))
        thread.join()
    assert answer.text.startswith(told)
    assert answer.outcome is (Outcome.SENT if key == KEY else Outcome.FAILED)
    assert ("msg_41 job.done {'job': 41}" in capsys.readouterr().out) is (key == KEY)
