"""A place for files of any content, and a small run."""

from pathlib import Path

import pytest

from tests.unit.handlers.ckpt.ckpt_writer import Run, Write, small_run


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(content: bytes, name: str = "shard.ckpt") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()
