"""Promises of `glmd merge`."""

import json
from pathlib import Path

import pytest

from tests.unit.daemon.commands.conftest import Site
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


@pytest.mark.parametrize("mark", ("_", "-"))
def test_the_seed_s_command_line_works(site: Site, run: Run, tmp_path: Path, mark: str) -> None:
    """The four flags as users know them, and with dashes: the filtered file, its manifest, and a summary."""
    flags = {
        "src postfix": "31_4",
        "src checkpoints dir": run.source,
        "src strategy file": run.strategy,
        "dst checkpoints dir": tmp_path / "merged",
    }
    done = site.glmd("merge", *(f"--{name.replace(' ', mark)}={value}" for name, value in flags.items()))
    assert done.returncode == 0
    output = tmp_path / "merged" / "filtered_transformed.ckpt"
    assert output.read_bytes() == run.merged()
    assert (tmp_path / "merged" / "manifest.json").exists()
    summary, where = done.stdout.splitlines()
    assert summary.startswith("merged glm-6b 31_4 of 4 ranks: 10 entries in, 8 kept, ")
    assert where == str(output)
    assert "merge_planned" in [json.loads(line)["event"] for line in done.stderr.splitlines()]


def test_tag_and_strategy_are_found_where_they_are_not_named(site: Site, run: Run, tmp_path: Path) -> None:
    """The last tag there is, by number, and strategy/ in the run's own output."""
    run.write("9_4")
    done = site.glmd("merge", "--src_checkpoints_dir", run.source, "--dst_checkpoints_dir", tmp_path / "merged")
    assert done.returncode == 0
    assert " 31_4 " in done.stdout


def test_an_output_that_is_there_is_replaced_only_by_force(site: Site, run: Run, tmp_path: Path) -> None:
    """Refused with exit code 3 and left as it is; --force replaces it."""
    output = tmp_path / "merged" / "filtered_transformed.ckpt"
    output.parent.mkdir()
    output.write_bytes(b"precious")
    words = ("merge", "--src_checkpoints_dir", run.source, "--dst_checkpoints_dir", output.parent)
    assert site.glmd(*words).returncode == 3
    assert output.read_bytes() == b"precious"
    assert site.glmd(*words, "--force").returncode == 0
    assert output.read_bytes() == run.merged()


def test_what_does_not_fit_together_is_refused(site: Site, run: Run, tmp_path: Path) -> None:
    """A rank without a shard: exit code 3, the rank named, nothing written."""
    run.shard(2).unlink()
    words = ("--src_checkpoints_dir", run.source, "--dst_checkpoints_dir", tmp_path / "merged", "--src_postfix", "31_4")
    done = site.glmd("merge", *words)
    assert done.returncode == 3
    assert "2" in done.stderr
    assert not (tmp_path / "merged" / "filtered_transformed.ckpt").exists()


def test_a_data_parallel_run_needs_no_strategy_files(site: Site, tmp_path: Path) -> None:
    """--data-parallel compares the replicas and filters rank 0's."""
    run = small_run(tmp_path / "output", (2,))
    run.layouts = {}
    run.write()
    words = ("merge", "--src_checkpoints_dir", run.source, "--dst_checkpoints_dir", tmp_path / "merged")
    assert site.glmd(*words).returncode == 3
    assert site.glmd(*words, "--data-parallel").returncode == 0
    assert (tmp_path / "merged" / "filtered_transformed.ckpt").read_bytes() == run.merged()


def test_bad_flags_are_bad_usage(site: Site, run: Run, tmp_path: Path) -> None:
    """Exit code 2: a source that is no directory, a tag that is none, flags that exclude each other, other formats."""
    good = ("merge", "--dst_checkpoints_dir", tmp_path / "merged")
    assert site.glmd(*good, "--src_checkpoints_dir", tmp_path / "none").returncode == 2
    good = (*good, "--src_checkpoints_dir", run.source)
    assert site.glmd(*good, "--src_postfix", "31-4").returncode == 2
    assert site.glmd(*good, "--data-parallel", "--src_strategy_file", run.strategy).returncode == 2
    assert site.glmd(*good, "--format", "safetensors").returncode == 2
