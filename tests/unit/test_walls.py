"""The walls of the house, in pyproject.toml under [tool.importlinter]: each one holds, and each can break."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((HOUSE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
FORBIDDEN = {
    "direction": ("handlers/events.py", "daemon.core.root"),
    "wings": ("daemon/face/status.py", "daemon.commands.app"),
    "one-door": ("daemon/commands/doctor.py", "daemon.serve.loop.waiting"),
    "one-writer": ("daemon/face/status.py", "daemon.core.store"),
    "serve": ("daemon/serve/intake/drops.py", "daemon.serve.jobs.moves"),
    "core-is-light": ("daemon/core/root.py", "rich"),
    "handlers-keep-no-state": ("handlers/events.py", "sqlite3"),
    "ckpt-is-a-library": ("handlers/ckpt/layout.py", "handlers.printable"),
    "ckpt-floors": ("handlers/ckpt/formats/walk.py", "handlers.ckpt.planning.plan"),
    "dialect-stands-alone": ("handlers/mindformers/version.py", "handlers.errors"),
    "record-of-a-training": ("handlers/training_record/rows.py", "handlers.records.job_dir"),
    "records-are-the-ground": ("handlers/records/record.py", "handlers.shards.names"),
}
"""By contract: which room must not import what."""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a copy of the house, to break."""
    for wing in ("daemon", "handlers"):
        shutil.copytree(HOUSE / wing, tmp_path / wing, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOUSE / "pyproject.toml", tmp_path)
    return tmp_path


def broken(house: Path) -> set[str]:
    """Return the names of the contracts that a house breaks."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"^(.+) BROKEN(?: \(.*\))?\s*$", done.stdout, re.MULTILINE))


def test_each_wall_has_a_reason_and_somebody_who_tries_it() -> None:
    """A contract's name says why it is there; a new one needs a line above."""
    assert {contract["id"] for contract in CONTRACTS} == FORBIDDEN.keys()


def test_a_forbidden_import_breaks_its_contract(house: Path) -> None:
    """Each of them; as it stands the house breaks none."""
    assert broken(house) == set()
    for place, module in FORBIDDEN.values():
        with (house / place).open("a") as stream:
            stream.write(f"\n\ndef break_in() -> None:\n    import {module}\n")
    assert broken(house) == {contract["name"] for contract in CONTRACTS}
