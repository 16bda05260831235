"""Promises of `glmd inspect`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.unit.daemon.commands.conftest import Site
from tests.unit.handlers.ckpt.ckpt_writer import Run, ckpt, small_run

ROWS = "layers.0.query_key_value.weight"
MODERN = Path(__file__).parents[3] / "fixtures" / "modern"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def line_of(printed: str, name: str) -> str:
    """Return the line about a parameter, without its name."""
    return next(line for line in printed.splitlines() if line.startswith(name)).removeprefix(name).strip()


def test_a_checkpoint_is_a_table_of_its_entries(site: Site, run: Run) -> None:
    """Shape, type and bytes of each, and how many of which family."""
    done = site.glmd("inspect", run.shard(0))
    assert done.returncode == 0
    assert line_of(done.stdout, ROWS).split() == ["[6,", "8]", "Float16", "96", "1", "weights"]
    assert "10 entries" in done.stdout.splitlines()[-1]


def test_state_that_no_list_names_is_shown_by_its_prefix(site: Site, run: Run) -> None:
    """Beside what is known to be an optimizer's; as a table, and for programs."""
    for prefix in ("exp_avg", "ema"):
        run.tensors[f"{prefix}.{ROWS}"], run.layouts[f"{prefix}.{ROWS}"] = run.tensors[ROWS], run.layouts[ROWS]
    run.write()
    for looked_at in (run.shard(0), run.source):
        printed = site.glmd("inspect", looked_at).stdout
        assert line_of(printed, f"exp_avg.{ROWS}").split()[5] == "optimizer"
        assert line_of(printed, f"ema.{ROWS}").split()[5] == "ema"
        assert "12 entries (5 weights, 3 optimizer, 3 scalars, 1 ema)" in printed
        rows = json.loads(site.glmd("inspect", looked_at, "--json").stdout)["rows"]
        assert {row["name"]: row["family"] for row in rows}[f"ema.{ROWS}"] == "ema"


def test_with_its_strategy_a_shard_says_which_ranks_hold_what(site: Site, run: Run) -> None:
    """One file of it, or their directory."""
    for strategy in (run.strategy, run.strategy.parent):
        printed = site.glmd("inspect", run.shard(0), "--strategy", strategy).stdout
        assert line_of(printed, ROWS).endswith("weights    ranks 0-3: 6 rows each")


def test_a_strategy_file_is_a_table_of_its_layouts(site: Site, run: Run) -> None:
    """Stage, device matrix and tensor map of each parameter."""
    printed = site.glmd("inspect", run.strategy).stdout
    assert line_of(printed, "layers.0.dense_4h_to_h.weight").split() == ["0", "[4]", "[-1,", "0]", "none"]
    assert printed.splitlines()[-1].endswith("strategy, 7 parameters, pipeline stage 0 of 4 ranks")


def test_a_run_s_output_is_shown_with_what_is_missing(site: Site, run: Run) -> None:
    """The newest save, although a rank has none of it yet; or the one that is asked for."""
    assert line_of(site.glmd("inspect", run.source).stdout, "ranks 0-3").startswith(": 10 entries")
    run.write("32_4").shard(2, "32_4").unlink()
    printed = site.glmd("inspect", run.source).stdout
    assert line_of(printed, f"missing: {ROWS}") == ": 1 of 4 slices, held by rank 2"
    assert line_of(printed, "without a shard") == ": rank 2"
    assert line_of(printed, "ranks 0-1,3")
    assert "missing" not in site.glmd("inspect", run.source, "--tag", "31_4").stdout


def test_an_output_of_ours_is_shown(site: Site, run: Run, tmp_path: Path) -> None:
    """Every file of it, and what it was merged of."""
    words = ("--src-checkpoints-dir", run.source, "--dst-checkpoints-dir", tmp_path / "merged")
    assert site.glmd("merge", *words).returncode == 0
    printed = site.glmd("inspect", tmp_path / "merged").stdout
    assert line_of(printed, ROWS).split()[:2] == ["[24,", "8]"]
    assert printed.splitlines()[-1] == f"{tmp_path / 'merged'}: merged of glm-6b 31_4"
    assert json.loads(site.glmd("inspect", tmp_path / "merged", "--json").stdout)["kind"] == "output"


def test_json_says_what_it_is(site: Site, run: Run) -> None:
    """The documented keys, for programs."""
    checkpoint = json.loads(site.glmd("inspect", run.shard(0), "--json", "--strategy", run.strategy).stdout)
    assert (checkpoint["kind"], checkpoint["format"]) == ("checkpoint", "ckpt")
    assert checkpoint["size"] == run.shard(0).stat().st_size
    assert list(checkpoint["rows"][0]) == ["name", "dims", "type", "bytes", "chunks", "family", "spread"]
    assert checkpoint["rows"][0]["spread"]["slices"][1] == {"ranks": [1], "bounds": [[4, 8], [0, 6]]}
    strategy = json.loads(site.glmd("inspect", run.strategy, "--json").stdout)
    assert (strategy["kind"], strategy["stages"], strategy["ranks"]) == ("strategy", [0], 4)
    assert list(strategy["rows"][0]) == ["name", "stages", "dev_matrix", "tensor_map", "optimizer_shards"]
    whole = json.loads(site.glmd("inspect", run.source, "--json").stdout)
    assert (whole["kind"], whole["ranks"], whole["missing"]) == ("set", [0, 1, 2, 3], {})


def test_nan_and_infinity_are_shown(site: Site, run: Run, tmp_path: Path) -> None:
    """Of an output at once, of a shard when asked, in the table and for programs."""
    run.tensors[ROWS][0, 0] = np.inf
    words = ("--src-checkpoints-dir", run.write().source, "--dst-checkpoints-dir", tmp_path / "merged")
    assert site.glmd("merge", *words, "--allow-not-finite").returncode == 0
    said = f"1 parameter holds NaN or infinity: {ROWS} (1 infinite)"
    for what in ((tmp_path / "merged",), (run.shard(0), "--finite")):
        printed = site.glmd("inspect", *what).stdout
        assert line_of(printed, ROWS).endswith("1 infinite")
        assert said in printed.splitlines()
    assert "NaN" not in site.glmd("inspect", run.shard(0)).stdout
    assert "no parameter holds NaN or infinity" in site.glmd("inspect", run.shard(1), "--finite").stdout
    output = json.loads(site.glmd("inspect", tmp_path / "merged", "--json").stdout)
    assert output["files"][0]["not_finite"] == {ROWS: {"nan": 0, "infinite": 1}}
    assert json.loads(site.glmd("inspect", run.shard(1), "--json").stdout)["not_finite"] is None
    assert json.loads(site.glmd("inspect", run.shard(1), "--json", "--finite").stdout)["not_finite"] == {}
    assert site.glmd("inspect", run.source, "--finite").returncode == 2


def test_what_is_neither_is_refused(site: Site, tmp_path: Path) -> None:
    """Garbage: 3 and a reason. Nothing there, or an empty directory: 2."""
    garbage = tmp_path / "garbage.ckpt"
    garbage.write_bytes(b"\xffgarbage")
    assert site.glmd("inspect", garbage).returncode == 3
    assert site.glmd("inspect", tmp_path / "none.ckpt").returncode == 2
    (tmp_path / "empty").mkdir()
    done = site.glmd("inspect", tmp_path / "empty")
    assert done.returncode == 2
    assert "holds neither manifest.json nor shards" in done.stderr
    assert site.glmd("inspect", garbage, garbage).returncode == 2


def test_equal_checkpoints(site: Site, run: Run, tmp_path: Path) -> None:
    """Exit code 0; an output directory stands for its files, whatever their format."""
    assert site.glmd("inspect", "--diff", run.shard(0), run.shard(0)).returncode == 0
    words = ("--src-checkpoints-dir", run.source, "--dst-checkpoints-dir")
    assert site.glmd("merge", *words, tmp_path / "a").returncode == 0
    assert site.glmd("merge", *words, tmp_path / "b", "--format=safetensors", "--max-shard-size=500B").returncode == 0
    done = site.glmd("inspect", "--diff", tmp_path / "a", tmp_path / "b")
    assert done.returncode == 0, done.stdout
    assert (
        done.stdout == f"{tmp_path / 'a'} and {tmp_path / 'b'} hold the same; 8 parameters were compared byte by byte\n"
    )


def test_where_checkpoints_differ(site: Site, run: Run, tmp_path: Path) -> None:
    """Exit code 1; names, descriptions, contents, each in a line that grep finds."""
    slices = run.slices(0)
    other = {"new": slices["epoch_num"]} | slices
    del other["epoch_num"]
    other[ROWS] = other[ROWS].copy()
    other[ROWS][2, 3] += 1
    other["global_step"] = other["global_step"].astype("int64")
    a, b = run.shard(0), tmp_path / "b.ckpt"
    b.write_bytes(ckpt(other))
    done = site.glmd("inspect", "--diff", a, b)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"only in {a}: epoch_num",
        f"only in {b}: new",
        f"global_step: Int32[1] in {a}, Int64[1] in {b}",
        f"{ROWS}: 1 of 48 elements differ, the first at [2, 3], by at most 1",
        f"{a} and {b} differ; 8 parameters were compared byte by byte",
    ]
    found = json.loads(site.glmd("inspect", "--diff", a, b, "--json").stdout)
    assert (found["same"], found["only_b"], found["contents"][0]["index"]) == (False, ["new"], [2, 3])


def test_a_save_holds_what_is_merged_of_it(site: Site, run: Run, tmp_path: Path) -> None:
    """Slices of four ranks, or what the ranks of today's MindFormers have together, in either form."""
    for source in (run.source, MODERN / "dp2-mp2-remove-redundancy"):
        words = ("--src-checkpoints-dir", source, "--dst-checkpoints-dir", tmp_path / source.name)
        assert site.glmd("merge", *words, "--keep=weights,scalars,optimizer").returncode == 0
        done = site.glmd("inspect", "--diff", source, tmp_path / source.name)
        assert (done.returncode, "hold the same" in done.stdout) == (0, True), done.stdout
    whole = MODERN / "whole" / "glm4_rank_0-2_4.safetensors"
    done = site.glmd("inspect", "--diff", MODERN / "dp2-mp2-remove-redundancy", whole)
    assert done.returncode == 0, done.stdout
    new = MODERN / "new-format-dp2-remove-redundancy"
    done = site.glmd("inspect", "--diff", new, whole, "--json")
    found = json.loads(done.stdout)
    assert (found["contents"], found["described"], found["only_a"]) == ([], [], [])
    assert found["compared"] == 52
    assert set(found["only_b"]) == {"epoch_num", "global_batch_size", "loss_scale", "scale_sense", "step_num"}


def test_saves_that_differ_are_told_by_parameter(site: Site, run: Run, tmp_path: Path) -> None:
    """Two tags of a run, each by its own directory; the element counts in the whole parameter."""
    other = small_run(tmp_path / "other")
    other.tensors = run.tensors | {ROWS: run.tensors[ROWS].copy()}
    other.tensors[ROWS][20, 3] += 1
    other.write()
    done = site.glmd("inspect", "--diff", run.source, other.source)
    assert done.returncode == 1
    assert f"{ROWS}: 1 of 192 elements differ, the first at [20, 3], by" in done.stdout
    assert site.glmd("inspect", "--diff", run.source, other.source, "--tag", "9_4").returncode == 3


def test_a_save_whose_replicas_differ_is_not_compared(site: Site, tmp_path: Path) -> None:
    """Which of them would be meant nobody can say."""
    run = small_run(tmp_path / "output", (2, 2)).write()
    tensors = run.slices(1)
    tensors[ROWS] = tensors[ROWS] + 1
    run.write_shard(1, ckpt(tensors))
    done = site.glmd("inspect", "--diff", run.source, run.source)
    assert done.returncode == 3
    assert f"{ROWS}: it differs from that of" in done.stderr


def test_bad_usage_of_diff(site: Site, run: Run, tmp_path: Path) -> None:
    """One name, or a directory that is no output: 2."""
    assert site.glmd("inspect", "--diff", run.shard(0)).returncode == 2
    assert site.glmd("inspect", "--diff", run.shard(0), tmp_path).returncode == 2


def test_a_save_in_the_new_format_is_a_table_of_whole_parameters(site: Site, tmp_path: Path) -> None:
    """Of the save that the tracker names; caches are told from weights; a tracker cut off is exit code 3."""
    source = tmp_path / "output"
    shutil.copytree(MODERN / "new-format-dp2-remove-redundancy", source)
    done = site.glmd("inspect", source)
    assert line_of(done.stdout, "transformer.embedding.embedding_weight").split()[:3] == ["[256,", "32]", "Float32"]
    assert "56 entries (17 weights, 4 buffers, 34 optimizer, 1 scalars)" in done.stdout.splitlines()[-1]
    (source / "latest_checkpointed_iteration.txt").unlink()
    (source / "latest_checkpointed_iteration.txt").write_text("")
    refused = site.glmd("inspect", source)
    assert refused.returncode == 3
    assert "which is no iteration" in refused.stderr


def test_a_run_whose_ranks_leave_out_replicas_is_shown_with_who_has_what(site: Site) -> None:
    """A real one: each slice once."""
    done = site.glmd("inspect", MODERN / "dp2-mp2-remove-redundancy")
    assert line_of(done.stdout, "transformer.output_layer.weight").endswith("ranks 2-3: 128 rows each")
    assert "missing" not in done.stdout
