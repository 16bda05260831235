"""Promises of daemon.face.web.hiding: what is called a secret is not shown."""

import pytest

from daemon.face.web.hiding import hidden


@pytest.mark.parametrize(
    "key", ("auth_token", "remote.API_KEY", "a[0].apikey", "password", "db.passwd", "client_secret.value", "SECRET")
)
def test_secrets_are_hidden(key: str) -> None:
    """Wherever in the key, in letters of either case."""
    assert hidden(key)


@pytest.mark.parametrize("key", ("lr", "runner_config.batch_size", "monkey"))
def test_other_keys_are_shown(key: str) -> None:
    """What differs has to be seen."""
    assert not hidden(key)


def test_settings_hide_more() -> None:
    """By their own patterns."""
    assert hidden("data.mount", (r"^data\.",))
    assert not hidden("model.data", (r"^data\.",))
