"""What `glmd doctor` says of a root that several hosts are to see."""

from dataclasses import replace
from pathlib import Path

import pytest

from daemon.client.finding import Verdict
from daemon.client.place_findings import of_disk, of_retention, of_root
from daemon.core import store_place
from daemon.core.owner import Owner
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmSettings


@pytest.mark.parametrize(
    ("kind", "store", "verdict", "told"),
    (
        ("nfs4", None, Verdict.MISSING, "is on nfs4, where SQLite's WAL does not work"),
        ("nfs4", "kept", Verdict.OK, "can be written to"),
        (None, None, Verdict.NOTE, "is on a file system of this host, and nodes have to see it"),
    ),
)
def test_with_slurm_the_root_is_shared_and_the_store_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, store: str | None, verdict: Verdict, told: str
) -> None:  # fmt: skip
    """What the daemon would refuse is missing; what nobody here can know is a note."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr(store_place, "network_file_system", lambda path: kind if path == root else None)
    found = of_root(Settings(root=root, slurm=SlurmSettings(), store=store and tmp_path / store))
    assert found.verdict is verdict
    assert told in found.text


def test_of_another_hosts_root_it_says_where_to_ask(tmp_path: Path) -> None:
    """And goes on with what can be seen from here."""
    (tmp_path / "glmd.owner").write_bytes(replace(Owner.now(tmp_path), host="login1").content())
    settings = Settings(root=tmp_path)
    found = of_root(settings)
    assert (found.verdict, "the daemon runs on login1" in found.text) == (Verdict.NOTE, True)
    assert "GB free" in of_disk(settings).text
    assert "the daemon runs on login1" in of_retention(settings).text
