"""Promises of handlers.merging.deep_verify, with a stand-in for MindSpore; tests/mindspore asks the real one."""

import os
import sys
from pathlib import Path

import pytest

from handlers.ckpt import merge, open_set
from handlers.merging.deep_verify import MindSporeError, deep_verify
from tests.unit.handlers.ckpt.ckpt_writer import small_run

FILE = "filtered_transformed.ckpt"
NORM = "layers.0.layernorm.gamma"

STAND_IN = """
import os, sys
from pathlib import Path

sys.path.insert(0, {repository!r})
from handlers.ckpt import walk
from handlers.ckpt.entry import shape

__version__ = "2.stand-in"


class Value:
    def __init__(self, path, entry):
        self.shape, self.dtype = shape(entry.dims), entry.type
        content = path.read_bytes()
        self.content = b"".join(content[e.offset : e.offset + e.length] for e in entry.extents)

    def get_bytes(self):
        return self.content


def load_checkpoint(path):
    print("[WARNING] printed where results are expected")
    loaded = {{name: Value(Path(path), entry) for name, entry in walk(Path(path)).entries.items()}}
    {change}
    return loaded
"""


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """Four ranks' shards, merged."""
    run = small_run(tmp_path / "output").write()
    (tmp_path / "merged").mkdir()
    merge(open_set([run.shard(rank) for rank in range(4)], [run.strategy]).plan(), tmp_path / "merged")
    return tmp_path / "merged"


@pytest.fixture(autouse=True)
def python_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the other interpreter looks for MindSpore."""
    (tmp_path / "mindspore").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mindspore"))
    return tmp_path / "mindspore"


def install(python_path: Path, change: str = "") -> None:
    """Install a MindSpore that loads what is there, but for `change`."""
    repository = str(Path(__file__).parents[4])
    (python_path / "mindspore.py").write_text(STAND_IN.format(repository=repository, change=change or "pass"))


def test_what_mindspore_loads_alike_is_well(merged: Path, python_path: Path) -> None:
    """Every parameter is compared, and progress ends with all of them."""
    install(python_path)
    reports: list[tuple[int, int]] = []
    found = deep_verify(merged, Path(sys.executable), lambda done, of: reports.append((done, of)))
    assert (found.mindspore, found.compared, found.problems) == ("2.stand-in", 8, ())
    assert reports == [(number, 8) for number in range(1, 9)]


@pytest.mark.parametrize(
    ("change", "parameter", "what"),
    (
        (f"del loaded[{NORM!r}]", NORM, "MindSpore does not find it"),
        (f"loaded['new'] = loaded[{NORM!r}]", "new", "glmd finds no such parameter"),
        (f"loaded[{NORM!r}].shape = (2, 4)", NORM, "MindSpore loads it as Float32[2, 4], glmd as Float32[8]"),
        (f"loaded[{NORM!r}].dtype = 'Float16'", NORM, "MindSpore loads it as Float16[8], glmd as Float32[8]"),
        (f"loaded[{NORM!r}].content = bytes(32)", NORM, "MindSpore loads other bytes than glmd reads"),
    ),
)
def test_what_mindspore_loads_otherwise_is_named(
    merged: Path, python_path: Path, change: str, parameter: str, what: str
) -> None:
    """File, parameter, and in which way."""
    install(python_path, change)
    (problem,) = deep_verify(merged, Path(sys.executable)).problems
    assert (problem.file, problem.parameter, problem.what) == (FILE, parameter, what)


def test_a_mindspore_that_fails_is_quoted(merged: Path, python_path: Path) -> None:
    """Its last words, whatever it had said before."""
    install(python_path, "raise ValueError('the checkpoint is not to my taste')")
    with pytest.raises(MindSporeError, match=r"(?s)exit code 1\):.*ValueError: the checkpoint is not to my taste"):
        deep_verify(merged, Path(sys.executable))


def test_an_environment_without_mindspore_is_named(merged: Path) -> None:
    """Or what is no Python at all."""
    with pytest.raises(MindSporeError, match="No module named 'mindspore'"):
        deep_verify(merged, Path(sys.executable))
    with pytest.raises(MindSporeError, match="/bin/echo is no Python with MindSpore"):
        deep_verify(merged, Path("/bin/echo"))


def test_nothing_goes_on_running(merged: Path, python_path: Path, tmp_path: Path) -> None:
    """When the caller is interrupted, MindSpore ends too, with its children."""
    pid = tmp_path / "pid"
    install(python_path, f"open({str(pid)!r}, 'w').write(str(os.getpid()))")

    def interrupt(_done: int, _all: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deep_verify(merged, Path(sys.executable), interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
