"""Promises of `glmd merge`."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.commands.merge import plan_of
from handlers.ckpt.entry import Family, OutputFormat
from handlers.ckpt.planning.lora import Lora
from handlers.errors import BadInputError
from handlers.records.merge_plan import MergePlan
from tests.unit.daemon.commands.conftest import Site
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run
from tests.unit.handlers.ckpt.glm2 import Glm, read, same


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
    summary, unlaid, where = done.stdout.splitlines()
    assert summary.startswith("merged glm-6b 31_4 of 4 ranks: 10 entries in, 8 kept, 2 optimizer dropped, ")
    assert unlaid.startswith("3 are in no strategy; all ranks agree on them")
    assert where == str(output)
    assert "merge_planned" in [json.loads(line)["event"] for line in done.stderr.splitlines()]


def test_tag_and_strategy_are_found_where_they_are_not_named(site: Site, run: Run, tmp_path: Path) -> None:
    """The last tag there is, by number, and strategy/ in the run's own output."""
    run.write("9_4")
    done = site.glmd("merge", "--src_checkpoints_dir", run.source, "--dst_checkpoints_dir", tmp_path / "merged")
    assert done.returncode == 0
    assert " 31_4 " in done.stdout


@pytest.mark.parametrize("dashes", ("--allow-not-finite", "--allow_not_finite"))
def test_a_diverged_training_is_merged_only_when_asked(site: Site, run: Run, tmp_path: Path, dashes: str) -> None:
    """Exit code 3, the parameter, and nothing written; then allowed by name, by pattern, or altogether."""
    name = "layers.0.query_key_value.bias"
    run.tensors[name][3] = np.nan
    words = ("merge", "--src_checkpoints_dir", run.write().source, "--dst_checkpoints_dir", tmp_path / "merged")
    for allowed in ((), (f"{dashes}=*.weight",)):
        done = site.glmd(*words, *allowed)
        assert done.returncode == 3
        assert f"1 parameter holds NaN or infinity: {name} (1 NaN, rank 0); nothing was written" in done.stderr
        assert list((tmp_path / "merged").iterdir()) == []
    for allowed in ((dashes,), (f"{dashes}=*.weight", f"{dashes}=*.bias"), (dashes, "--force")):
        done = site.glmd(*words, *allowed)
        assert done.returncode == 0
        assert f"1 parameter holds NaN or infinity: {name} (1 NaN); kept as allowed (manifest.json)" in done.stdout
    assert site.glmd(*words).returncode == 3


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
    assert site.glmd(*good, "--format", "onnx").returncode == 2


@pytest.mark.parametrize("flag", ("--src-strategy-file", "--layout-from", "--config"))
def test_what_is_named_but_not_there_is_bad_usage(run: Run, tmp_path: Path, flag: str) -> None:
    """The flag is named, rather than an errno."""
    words = ["--src-checkpoints-dir", str(run.source), "--dst-checkpoints-dir", "/merged", flag, str(tmp_path / "none")]
    with pytest.raises(BadInputError, match=f"^{flag}: .*/none does not exist"):
        plan_of(words)


def test_replicas_that_were_trusted_are_not_said_to_agree(site: Site, tmp_path: Path) -> None:
    """Nobody has looked."""
    run = small_run(tmp_path / "output", (2,))
    run.layouts = {}
    run.write()
    words = ("merge", "--src_checkpoints_dir", run.source, "--dst_checkpoints_dir", tmp_path / "merged")
    done = site.glmd(*words, "--data-parallel", "--trust-replicas")
    assert "8 are in no strategy; taken from rank 0, and not compared" in done.stdout


@pytest.mark.parametrize(
    ("flags", "changes"),
    (
        ((), {}),
        (("--keep", "scalars,optimizer"), {"keep": (Family.SCALARS, Family.OPTIMIZER)}),
        (("--keep", "ema., scalars,weights,a.b"), {"keep": (Family.WEIGHTS, Family.SCALARS, "a.b", "ema")}),
        (("--stages", "2"), {"stages": 2}),
        (
            ("--format", "safetensors", "--max_shard_size=5GB"),
            {"format": OutputFormat.SAFETENSORS, "max_shard_size": 5 * 10**9},
        ),
        (("--transformed",), {"transformed": True}),
        (("--lora", "only"), {"lora": Lora.ONLY}),
        (
            ("--lora=merge", "--lora-alpha", "32", "--lora_rank=8"),
            {"lora": Lora.MERGE, "lora_alpha": 32.0, "lora_rank": 8},
        ),
        (("--layout_from", "/"), {"layout_from": Path("/")}),
        (("--allow_not_finite", "--allow-not-finite=a_b"), {"allow_not_finite": ("*", "a_b")}),
        (("--trust-replicas", "--no_hash"), {"compared": False, "hashed": False}),
        (("--prefix", "a_b", "--ranks=4", "--force"), {"prefix": "a_b", "ranks": 4, "force": True}),
        (("--data_parallel", "--src-postfix", "network"), {"needs_strategy": False, "tag": "network"}),
    ),
)
def test_every_flag_is_a_wish_of_the_plan(tmp_path: Path, flags: tuple[str, ...], changes: dict[str, object]) -> None:
    """With - or _; a value's own _ stays."""
    (tmp_path / "output").mkdir()
    words = ["--src-checkpoints-dir", str(tmp_path / "output"), "--dst-checkpoints-dir", "/merged"]
    plain = MergePlan(source=tmp_path / "output", destination=Path("/merged"))
    assert plan_of([*words, *flags]) == replace(plain, **changes)  # type: ignore[arg-type] # keywords of a test


def test_alpha_and_rank_may_come_from_the_yaml(tmp_path: Path) -> None:
    """Of a LoRA run's own configuration."""
    config = Path(__file__).parents[4] / "configs" / "run_glm_6b_lora.yaml"
    words = ["--src-checkpoints-dir", str(tmp_path), "--dst-checkpoints-dir", "/merged", "--lora", "merge"]
    plan = plan_of([*words, "--config", str(config)])
    assert (plan.lora_alpha, plan.lora_rank) == (32.0, 8)


@pytest.mark.parametrize(
    ("flags", "reason"),
    (
        (("--lora", "merge"), "scales the adapters by lora_alpha / lora_rank"),
        (("--lora", "merge", "--lora-alpha", "32"), "give --lora-alpha and --lora-rank"),
        (("--max-shard-size", "5GB"), "a .ckpt is always one file"),
        (("--data-parallel", "--stages", "2"), "runs without pipeline stages"),
        (("--format", "huggingface", "--keep", "weights,scalars"), "--format huggingface has weights only"),
        (("--format", "huggingface", "--lora", "only"), "has no names for adapters alone"),
        (("--format", "safetensors", "--hf-base", "/"), "--hf-base is for --format huggingface"),
        (("--hf-names", "glm"), "--hf-names is for --format huggingface"),
        (("--format", "huggingface", "--hf-base", "/none"), "--hf-base: /none does not exist"),
    ),
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, flags: tuple[str, ...], reason: str) -> None:
    """Before anything is read, with what to do instead."""
    words = ["--src-checkpoints-dir", str(tmp_path), "--dst-checkpoints-dir", "/merged"]
    with pytest.raises(BadInputError, match=reason):
        plan_of([*words, *flags])


@pytest.mark.parametrize(
    "flags",
    (
        ("--keep", "moments"),
        ("--keep", "weigths"),
        ("--keep", "a,,b"),
        ("--stages", "0"),
        ("--ranks", "0"),
        ("--max-shard-size", "5 cows"),
        ("--lora-alpha", "-1"),
        ("--src",),
    ),
)
def test_words_that_are_none_are_bad_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    """Exit code 2, the flag named; nothing is taken for an abbreviation."""
    words = ["--src-checkpoints-dir", str(tmp_path), "--dst-checkpoints-dir", "/merged"]
    with pytest.raises(SystemExit) as error:
        plan_of([*words, *flags])
    assert error.value.code == 2
    assert flags[0] in capsys.readouterr().err


def test_shards_may_be_named_one_by_one(site: Site, run: Run, tmp_path: Path) -> None:
    """Strategy files are found beside the directories they are in."""
    files = [run.shard(rank) for rank in range(4)]
    done = site.glmd("merge", "--dst-checkpoints-dir", tmp_path / "merged", "--shards", *files)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "merged" / "filtered_transformed.ckpt").read_bytes() == run.merged()
    assert site.glmd("merge", "--dst-checkpoints-dir", tmp_path / "other").returncode == 2


def test_safetensors_in_several_files(site: Site, run: Run, tmp_path: Path) -> None:
    """Each is named, and glmd itself finds them to be what was written."""
    merged = tmp_path / "merged"
    words = ("--src-checkpoints-dir", run.source, "--dst-checkpoints-dir", merged)
    done = site.glmd("merge", *words, "--format", "safetensors", "--max-shard-size", "500B")
    assert done.returncode == 0, done.stderr
    outputs = [Path(line).name for line in done.stdout.splitlines() if line.endswith(".safetensors")]
    assert outputs == sorted(path.name for path in merged.glob("*.safetensors"))
    assert len(outputs) > 1
    assert site.glmd("verify", merged).returncode == 0


def test_an_output_for_hugging_face(site: Site, tmp_path: Path) -> None:
    """With the base model's files, whose names it goes by; the training's YAML says how rows were moved."""
    glm = Glm(rearranged=True, qkv_concat=False)
    run = Run(tmp_path / "output", 1, tensors=glm.mindformers() | {"step_num": np.array([4], "int32")}).write()
    base, merged, yaml = tmp_path / "base", tmp_path / "merged", tmp_path / "run.yaml"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(glm.remote_config))
    said = {"type": "ChatGLM2Config", "use_rearrange_rope": True, "kv_channels": 4}
    yaml.write_text(json.dumps({"model": {"model_config": said}}))
    words = ("--src-checkpoints-dir", run.source, "--dst-checkpoints-dir", merged, "--data-parallel")
    done = site.glmd("merge", *words, "--format", "huggingface", "--hf-base", base, "--config", yaml)
    assert done.returncode == 0, done.stderr
    assert same(read(merged), glm.remote())
    assert json.loads((merged / "config.json").read_text()) == glm.remote_config
    assert site.glmd("verify", merged).returncode == 0
    shown = site.glmd("inspect", merged)
    assert "transformer.embedding.word_embeddings.weight" in shown.stdout
    refused = site.glmd(
        "merge",
        *words[:3],
        tmp_path / "other",
        *words[4:],
        "--format",
        "huggingface",
        "--hf-base",
        base,
        "--hf-names",
        "glm",
    )
    assert refused.returncode == 3
    assert "model_type is 'chatglm', whose names are not those of glm" in refused.stderr


LATE_IMPORTS = """
import sys
from daemon.commands import merge as command

real, before = command.run, set()


def run(plan, progress, report):
    def watched(done, total):
        before.update(() if before else sys.modules)
        progress(done, total)

    return real(plan, watched, report)


command.run = run
command.merge(sys.argv[1:])
print(*(set(sys.modules) - before))
"""


def test_nothing_is_imported_while_bytes_are_copied(run: Run, tmp_path: Path) -> None:
    """Memory is flat however long it takes; only the version for the manifest is looked up at the end, in any merge."""
    words = [f"--src-checkpoints-dir={run.source}", f"--dst-checkpoints-dir={tmp_path / 'merged'}"]
    done = subprocess.run(
        [sys.executable, "-c", LATE_IMPORTS, *words], capture_output=True, text=True, timeout=60, check=True
    )
    assert {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()} <= {"email"}


def test_what_may_not_have_been_meant_is_said(site: Site, run: Run, tmp_path: Path) -> None:
    """A family that no list names, and a stage that may be one of several: on standard error, with what to do."""
    weight = "layers.0.query_key_value.weight"
    for prefix in ("ema", "accu_grads"):
        name = f"{prefix}.{weight}"
        run.tensors[name], run.layouts[name] = run.tensors[weight], run.layouts[weight]
    run.write()
    words = ("merge", "--src-checkpoints-dir", run.source, "--dst-checkpoints-dir", tmp_path / "merged")
    done = site.glmd(*words)
    assert done.returncode == 0
    assert "12 entries in, 8 kept, 3 optimizer dropped, 1 ema dropped, " in done.stdout
    assert done.stdout.splitlines()[0].endswith("; 1 pipeline stage")
    events = {event["event"]: event for event in map(json.loads, done.stderr.splitlines())}
    assert (events["family_dropped"]["level"], events["family_dropped"]["family"]) == ("warning", "ema")
    assert "--stages 1" in events["stages_may_be_missing"]["reason"]
    again = site.glmd(*words, "--force", "--stages", "1", "--keep", "weights,scalars,ema")
    assert "warning" not in again.stderr
    assert (tmp_path / "merged" / "filtered_transformed.ckpt").read_bytes() == run.merged()
    missing = site.glmd(*words, "--force", "--keep", "weights,emma")
    assert missing.returncode == 3
    assert "'emma'" in missing.stderr
    assert "1 ema" in missing.stderr


def test_how_many_stages_were_seen_is_said(site: Site, tmp_path: Path) -> None:
    """Two, where there are the strategy files of two; and more than are there are refused."""
    run = small_run(tmp_path / "output", (2,))
    run.ranks, run.stages = 4, 2
    run.stages_of = {name: (index % 2,) for index, name in enumerate(run.layouts)}
    run.write()
    words = ("merge", "--src-checkpoints-dir", run.source, "--dst-checkpoints-dir", tmp_path / "merged")
    assert site.glmd(*words).stdout.splitlines()[0].endswith("; 2 pipeline stages")
    refused = site.glmd(*words, "--stages", "3")
    assert refused.returncode == 3
    assert "no strategy file describes stage 2" in refused.stderr
