"""Promises of daemon.core.owner, and of what daemon.core.root makes of it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.core.control import NotHereError, ask
from daemon.core.owner import NAME, ElsewhereError, Owner, OwnerError, read_owner
from daemon.core.presence import Presence, presence
from daemon.core.root import Root


def test_store_lock_and_socket_are_where_the_owner_says(tmp_path: Path) -> None:
    """In the root where nobody says anything, as ever; and the daemon's own word comes before the file's."""
    root = Root(tmp_path)
    assert (root.store, root.lock, root.socket) == tuple(tmp_path / f"glmd.{name}" for name in ("db", "lock", "sock"))
    (tmp_path / NAME).write_bytes(Owner.now(tmp_path / "kept").content())
    kept = tmp_path / "kept"
    assert (root.store, root.lock, root.socket) == tuple(kept / f"glmd.{name}" for name in ("db", "lock", "sock"))
    assert root.daemon == tmp_path / "daemon.json"
    assert Root(tmp_path, tmp_path / "own").store == tmp_path / "own" / "glmd.db"


def test_another_host_is_told_where_the_daemon_runs(tmp_path: Path) -> None:
    """Whoever wants the store, and whoever wants the daemon."""
    (tmp_path / NAME).write_bytes(replace(Owner.now(Path("/var/lib/glmd")), host="login1").content())
    told = f"{tmp_path}: the daemon runs on login1, and its store is there (/var/lib/glmd): do this on login1"
    with pytest.raises(ElsewhereError) as raised:
        Root(tmp_path).refuse_elsewhere()
    assert str(raised.value) == told
    with pytest.raises(NotHereError) as asked:
        ask(tmp_path, "ping")
    assert str(asked.value) == told
    assert asked.value.code == raised.value.code == "daemon.elsewhere"
    assert presence(tmp_path) is Presence.ELSEWHERE


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """With all that it says."""
    owner = replace(Owner.now(tmp_path), seq=7, stopped=True)
    assert read_owner(tmp_path) is None
    (tmp_path / NAME).write_bytes(owner.content())
    assert read_owner(tmp_path) == owner
    assert (owner.host, owner.pid) == (os.uname().nodename, os.getpid())


@pytest.mark.parametrize(
    "changed", ({"host": None}, {"pid": "1"}, {"pid": True}, {"seq": 1.5}, {"store": 1}, {"stopped": 0}), ids=str
)
def test_what_is_no_owner_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    """With what to do: nobody may guess whose a root is."""
    told = json.loads(Owner.now(tmp_path).content()) | changed
    for content in (json.dumps(told), "{", "[]", "{}"):
        (tmp_path / NAME).write_text(content)
        with pytest.raises(OwnerError, match=r"glmd\.owner: not what this glmd writes .*; stop glmd"):
            read_owner(tmp_path)
