"""Promises of daemon.face.notify.secret: a secret is not shown, and others' texts lose it."""

import copy
import json
import pickle
import traceback
from dataclasses import dataclass

import pytest

from daemon.face.notify.secret import HIDDEN, Secret, redacted

HUSHED = "4b9af53d2c17"


def test_no_way_to_show_a_value_shows_a_secret() -> None:
    """Whoever wants it has to ask for it."""

    @dataclass(frozen=True)
    class Holder:
        secret: Secret

    secret = Secret(HUSHED)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr([secret]), repr(Holder(secret))]
    shown.append(json.dumps({"a": secret}, default=str, ensure_ascii=False))
    shown.append("".join(traceback.format_exception(ValueError(secret))))
    assert all(HUSHED not in text and HIDDEN in text for text in shown)
    assert secret.reveal() == HUSHED
    assert not hasattr(secret, "__dict__")


def test_a_secret_does_not_leave_its_process() -> None:
    """A queue between processes, or a copy on disk, would have it as it is."""
    for leave in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="leave"):
            leave(Secret(HUSHED))


def test_secrets_are_equal_by_what_they_say() -> None:
    """As texts are."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"


@pytest.mark.parametrize(
    "said",
    (
        "no route to https://ann:pa%20ss@hook.example/services/4b9af53d2c17?key=zzz-123",
        "POST /services/4b9af53d2c17 is not allowed",
        "unknown token 4b9af53d2c17.",
        "ann:pa ss is not right: pa%20ss",
        '{"key":"zzz-123"}',
    ),
)
def test_a_piece_of_an_address_is_hidden_wherever_it_is_said(said: str) -> None:
    """As a whole, by path, by query, by password, escaped or not."""
    left = redacted(said, [Secret("https://ann:pa%20ss@hook.example/services/4b9af53d2c17?key=zzz-123")])
    assert HIDDEN in left
    for piece in (HUSHED, "pa ss", "pa%20ss", "zzz-123"):
        assert piece not in left


def test_what_is_no_secret_stays() -> None:
    """A reason that is all dots would help nobody."""
    assert redacted("HTTP 404: no such page", [Secret("https://h/t/0123456789")]) == "HTTP 404: no such page"
