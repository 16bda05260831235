"""Promises of daemon.face.hidden_keys: which values are secrets, by the names of their keys."""

import re
from pathlib import Path

import pytest

from daemon.face.hidden_keys import NOTHING_HIDDEN, HiddenKeys

REHEARSAL = Path(__file__).parents[4] / "configs" / "rehearsal" / "rehearsal.yaml"
HIDDEN = HiddenKeys.of(())


@pytest.mark.parametrize(
    "key",
    ("token", "TOKEN", "hf_token", "HF_TOKEN", "tokens", "auth_tokens", "secret", "clientSecret", "secret_key",
     "password", "passwd", "PASSWORD", "api_key", "apikey", "API_KEY", "tokenizer_api_key", "pad_token_secret",
     "access_token_id", "authToken", "my.token", "new_token", "max_token"),
)  # fmt: skip
def test_what_is_called_like_a_secret_is_one(key: str) -> None:
    """In whatever case, and with whatever around it."""
    assert HIDDEN.hides(key)


@pytest.mark.parametrize(
    "key",
    ("seed", "tokenizer", "tokenizer_type", "TOKENIZER", "pad_token", "pad_token_id", "bos_token_id", "gmask_token_id",
     "ignore_pad_token_for_loss", "max_new_tokens", "special_tokens_map", "add_bos_token", "moe_token_dispatcher_type",
     "monkey", "api"),
)  # fmt: skip
def test_what_models_call_so_is_none(key: str) -> None:
    """Every configuration of a language model has such keys."""
    assert not HIDDEN.hides(key)


def test_a_configuration_of_mindformers_has_no_secrets() -> None:
    """Nothing of it is hidden: a page of marks would help nobody."""
    keys = set(re.findall(r"^\s*(?:- )?(\w+):", REHEARSAL.read_text("utf-8"), re.MULTILINE))
    assert "pad_token_id" in keys
    assert {key for key in keys if HIDDEN.hides(key)} == set()


def test_the_settings_hide_more() -> None:
    """And nothing less; who may read the files is shown all."""
    more = HiddenKeys.of(["^data_", "(?i)PAD"])
    assert all(map(more.hides, ("data_dir", "pad_token_id", "token")))
    assert not more.hides("old_data_dir")
    assert not NOTHING_HIDDEN.hides("token")


@pytest.mark.parametrize(
    ("text", "told"),
    (
        ("HF_TOKEN=hunter2", "HF_TOKEN=•••"),
        ("--api_key=hunter2 --x 1", "--api_key=•••"),
        ('{"password": "hunter2"}', '{"password":•••'),
        ("https://host/?token=hunter2", "https://host/?token=•••"),
        ("the token is used", "the token is used"),
        ("pad_token=3", "pad_token=3"),
    ),
)
def test_a_value_may_assign_a_secret(text: str, told: str) -> None:
    """As those of an environment do."""
    assert HIDDEN.in_text(text) == told
