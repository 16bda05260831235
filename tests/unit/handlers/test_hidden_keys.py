"""Promises of handlers.hidden_keys: which values are secrets, by the names of their keys."""

import re
import time
from pathlib import Path

import pytest

from handlers.hidden_keys import NOTHING_HIDDEN, HiddenKeys

REHEARSAL = Path(__file__).parents[3] / "configs" / "rehearsal" / "rehearsal.yaml"
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
        ("run --api-key hunter2 x", "run --api-key ••• x"),
        ("https://u:hunter2@host/x", "https://•••@host/x"),
        ('{"password": "hunter2"}', '{"password":•••'),
        ("https://host/?token=hunter2", "https://host/?token=•••"),
        ("the token is used", "the token is used"),
        ("pad_token=3", "pad_token=3"),
    ),
)
def test_a_value_may_assign_a_secret(text: str, told: str) -> None:
    """As those of an environment do."""
    assert HIDDEN.in_text(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    (
        ("hf_token: correct horse", "hf_token: •••"),
        ("{'hf_token': 'ab\\'c', 'lr': 1}", "{'hf_token': '•••', 'lr': 1}"),
        ("{'password': 123, 'lr': 1}", "{'password': •••, 'lr': 1}"),
        ('{"a":{"HF_TOKEN":"a b","x":1}}', '{"a":{"HF_TOKEN":"•••","x":1}}'),
        ('{"why":"\\"hf_token\\": \\"a b\\" no"}', '{"why":"\\"hf_token\\": \\"•••\\" no"}'),
        ('{"why":"hf_token: a b","x":1}', '{"why":"hf_token: •••","x":1}'),
        ("a.b.api_key: 'sk' is no number", "a.b.api_key: '•••' is no number"),
        ("--hf-token abc --x", "--hf-token ••• --x"),
        ("['--hf-token', 'abc', 'x']", "['--hf-token', '•••', 'x']"),
        ("['HF_TOKEN=abc', 'X=1']", "['HF_TOKEN=•••', 'X=1']"),
        ("PASSWORD=a'b c", "PASSWORD=••• c"),
        ("password = 'not closed", "password = '•••"),
        ("git+https://token@host/x", "git+https://•••@host/x"),
        ("redis://:pw@host", "redis://•••@host"),
        ("https://u:p/w@host", "https://•••@host"),
        ("https://u:p@ss@host/x@y", "https://•••@host/x@y"),
        ("https://u:pw\uff20host", "https://•••\uff20host"),
        ("https://user:cut\u2026", "https://•••\u2026"),
        ("curl -H 'X: Bearer abcdefgh1'", "curl -H 'X: Bearer •••'"),
        ("Authorization: Basic abc", "Authorization: •••"),
        ("hf_token:\n  abc\n\n  def\nlr: 1\n", "hf_token:\n  •••\n\n  •••\nlr: 1\n"),
        ("  3 | hf_token:\n    |    ^ is wrong", "  3 | hf_token:\n    |    ^ is wrong"),
        ("hf_token: [a,\n b]\nlr: 1", "hf_token: •••\n •••\nlr: 1"),
        ("x: 1\ntoken: abc\ny: 2\n", "x: 1\ntoken: •••\ny: 2\n"),
    ),
)
def test_lines_tell_no_values_of_secrets(text: str, told: str) -> None:
    """As YAML, Python, JSON, shells and URLs write them; and all else of a line stays."""
    assert HIDDEN.in_lines(text) == told
    assert HIDDEN.in_lines(told) == told


@pytest.mark.parametrize(
    "text",
    ("unexpected token, line 3", "tokens: 123456, loss: 2", "tokens_per_second: 400.2 loss: 3", "max_tokens: 3",
     "http://host:8082/metrics", "http://host:8080/x?user=a@b", "http://host/x:y@z",
     "see http://host:8080", "{ Epoch:[ 1/ 31], step:[ 3/ 4], loss: 11.78 }",
     "the password is wrong", "token=", "pad_token: 3", ""),
)  # fmt: skip
def test_other_lines_stay_as_they_are(text: str) -> None:
    """A log without its figures would help nobody."""
    assert HIDDEN.in_lines(text) == text
    assert HIDDEN.masked(text.encode()) == text.encode()


def test_masked_bytes_stay_where_they_were() -> None:
    """Also where they are no text: a byte's number is a link to it."""
    assert HIDDEN.masked("é password: hé\nx token=ab \n".encode() + b"\xff\xfe") == (
        "é password: ***\nx token=** \n".encode() + b"\xff\xfe"
    )


def test_columns_of_text_stay_where_they_were() -> None:
    """A caret points at one."""
    assert HIDDEN.starred("x: {hf_token: 秘密, b") == "x: {hf_token: *****"


def test_json_of_glmds_has_no_secrets() -> None:
    """In its texts, whatever they are called; a key of its own is none of the settings'."""
    hidden = HiddenKeys.of(["^name$"])
    told = hidden.in_json(
        {"name": "x", "why": ["name: y", 3, None], "environment": {"HF_TOKEN": "z", "a": {"b": "token=1"}}}
    )
    assert told == {
        "name": "x",
        "why": ["name: •••", 3, None],
        "environment": {"HF_TOKEN": "•••", "a": {"b": "token=•••"}},
    }


@pytest.mark.parametrize(
    "part",
    ("://x:y", "://", "token=", "token: '", "tokens=1 ", "--token ", "bearer ", "token:\n  ", "x: {", "a: [ token: [ ",
     "token: {", "'token' : \"", "- - token:", "token   ", 'token: "x'),
)  # fmt: skip
@pytest.mark.parametrize("end", ("", "]", "'", "\n  x"))
def test_a_hostile_line_takes_no_more_time_than_a_long_one(part: str, end: str) -> None:
    """Of a megabyte, as a configuration may have it."""
    begin = time.process_time()
    HIDDEN.starred(part * (1_000_000 // len(part)) + end)
    assert time.process_time() - begin < 20
