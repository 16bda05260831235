"""Promises of handlers.ckpt as a library: what its own documentation shows is what it does."""

import sys
import textwrap
from pathlib import Path
from subprocess import run as run_process

import pytest

import handlers.ckpt
from handlers.ckpt import Family, InconsistentError, open_set
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run


def test_the_example_in_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word, over a run of two ranks."""
    run = small_run(tmp_path / "output", (2,)).write()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "merged").mkdir()
    lines = (handlers.ckpt.__doc__ or "").splitlines()
    example = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    assert example.count("\n") == 4
    exec(example, {})  # noqa: S102 - it is our own
    assert (tmp_path / "merged" / "filtered_transformed.ckpt").read_bytes() == run.merged()


def test_everything_that_is_promised_is_there() -> None:
    """`__all__` is the public face; each name is documented."""
    for name in handlers.ckpt.__all__:
        assert getattr(handlers.ckpt, name).__doc__, name


def test_the_library_needs_nothing_else_of_glmd() -> None:
    """Neither the daemon nor handlers, nor what is slow to import."""
    code = "import sys, handlers.ckpt; print(*sys.modules)"
    done = run_process([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {name for name in imported if name.startswith("handlers.") and not name.startswith("handlers.ckpt")} == set()
    assert imported.isdisjoint({"daemon", "numpy", "pydantic", "structlog", "typer", "rich"})


def test_shards_are_given_by_rank_or_in_order(run: Run) -> None:
    """As text or paths; a rank that is left out is noticed when the merge is planned."""
    paths = [str(run.shard(rank)) for rank in range(4)]
    in_order = open_set(paths, [run.strategy])
    assert in_order == open_set({rank: run.shard(rank) for rank in (3, 1, 0, 2)}, [str(run.strategy)])
    assert list(in_order.shards) == [0, 1, 2, 3]
    with pytest.raises(InconsistentError):
        open_set(paths[:3], [run.strategy]).plan()


def test_what_to_keep_is_said_when_planning(run: Run) -> None:
    """Families, as in `--keep`."""
    opened = open_set([run.shard(rank) for rank in range(4)], [run.strategy])
    assert {each.name for each in opened.plan(keep=[Family.SCALARS]).parameters} == {
        "scale_sense", "global_step", "epoch_num"
    }  # fmt: skip
