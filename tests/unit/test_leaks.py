"""Promises of tests/conftest.py."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TEST = """
import ctypes, os, subprocess, threading
import tests.conftest
from tests.conftest import leaves_nothing_behind

tests.conftest.PATIENCE = 0.1
KEPT = []
INOTIFY = ctypes.CDLL(None).inotify_init()  # there before the test, as of a fixture that tests share

def test_something():
    {body}
"""


@pytest.mark.parametrize(
    ("body", "left"),
    (
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "<Thread("),
        ("KEPT.append(subprocess.Popen(['sleep', '3']))", "sleep 3"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "process "),  # ended, but nobody waited for it
        ("os.open('/dev/null', os.O_RDONLY)", "of /dev/null"),
        ("ctypes.CDLL(None).inotify_add_watch(INOTIFY, b'/tmp', 2)", "a watch: inotify wd:"),
    ),
    ids=("thread", "child", "zombie", "descriptor", "inotify"),
)
def test_a_test_that_leaves_something_behind_fails(tmp_path: Path, body: str, left: str) -> None:
    """And the message names what it is."""
    test = tmp_path / "test_leak.py"
    test.write_text(TEST.format(body=body))
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(tmp_path / "pytest.ini"), "-p", "no:randomly", str(test)]
    (tmp_path / "pytest.ini").touch()
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, start_new_session=True)
    assert "1 passed, 1 error" in run.stdout
    assert "left behind" in run.stdout
    assert left in run.stdout
