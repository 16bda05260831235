"""Of two who want to run a step one does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from handlers.ckpt.files.durable import open_lock
from handlers.shim.fence import linked, locked


def test_a_lock_is_one_processs(tmp_path: Path) -> None:
    """As long as it lives: the kernel frees it."""
    other = (
        "import sys; from pathlib import Path; from handlers.ckpt.files.durable import open_lock\n"
        "from handlers.shim.fence import locked; print(locked(open_lock(Path(sys.argv[1]))))"
    )

    def is_free() -> bool:
        command = [sys.executable, "-c", other, str(tmp_path / "lock")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"

    with open_lock(tmp_path / "lock") as lock:
        assert locked(lock)
        assert not is_free()
    assert is_free()


def test_the_first_that_links_is_the_owner(tmp_path: Path) -> None:
    """For ever: the second finds who it is, and nothing of its own is left."""
    owner = tmp_path / "owner.json"
    assert linked(owner, b"job 7")
    assert not linked(owner, b"job 8")
    assert owner.read_bytes() == b"job 7"
    assert list(tmp_path.iterdir()) == [owner]


def test_a_lost_answer_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system links, loses the answer, asks again, and is told that the name exists."""
    link = Path.hardlink_to

    def lossy(path: Path, target: Path) -> None:
        link(path, target)
        raise FileExistsError(17, "File exists", str(path))

    monkeypatch.setattr(Path, "hardlink_to", lossy)
    assert linked(tmp_path / "owner.json", json.dumps({"job": 7}).encode())
