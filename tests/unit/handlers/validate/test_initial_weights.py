"""Promises of handlers.validate.initial_weights."""

from pathlib import Path

import pytest

from handlers.codes import Code
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B
from handlers.validate.document import parse
from handlers.validate.glmd_section import GlmdSection, read_section
from handlers.validate.initial_weights import MERGED, NoBaseError, as_rank_directory, check_weights, weights_to_load
from handlers.validate.mindformers_rules import Parallel
from handlers.validate.problem import Findings

ALONE = Parallel(0, 1, 1, 1, 2, "Ascend")
CUT = Parallel(1, 1, 2, 1, 2, "Ascend")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Make a file of weights, a directory with a shard for each of two ranks, and one with rank 0's alone."""
    (tmp_path / "glm.ckpt").write_bytes(b"weights")
    for path in ("both/rank_0", "both/rank_1", "one/rank_0", "none"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("both/rank_0/a.ckpt", "both/rank_1/a.ckpt", "one/rank_0/a.ckpt"):
        (tmp_path / path).write_bytes(b"shard")
    return tmp_path


@pytest.fixture
def latest(tmp_path: Path) -> Path:
    """Make ROOT/latest with a published result of `glm-6b`, a link to it as the merge makes it, and a broken one."""
    merged = tmp_path / "jobs" / "0001-a" / "merged"
    merged.mkdir(parents=True)
    (merged / MERGED).write_bytes(b"merged")
    latest = tmp_path / "latest"
    latest.mkdir()
    (latest / "glm-6b").symlink_to(merged)
    (latest / "broken").symlink_to(tmp_path / "gone")
    return latest


def findings_of(
    text: str, parallel: Parallel = ALONE, run_mode: str = "finetune", published: Path | None = None
) -> Findings:
    """Check the weights that `text` names."""
    findings = Findings()
    root = parse(text.encode(), "a.yaml").root
    check_weights(root, read_section(root)[0], run_mode, parallel, published, dialect_of(OF_GLM_6B), findings)
    return findings


def test_latest_is_the_file_behind_the_link(latest: Path) -> None:
    """What a run continues from is fixed when it is planned, however the link moves on."""
    newest = GlmdSection(continue_from="latest")
    assert weights_to_load(newest, "glm-6b", latest) == latest.parent / "jobs" / "0001-a" / "merged" / MERGED
    assert weights_to_load(newest, "other", latest) is None
    assert weights_to_load(newest, "", latest) is None
    assert weights_to_load(newest, "glm-6b", None) is None


def test_what_was_published_and_is_gone_is_no_first_night(latest: Path) -> None:
    """A link that leads to nothing, or to no output: to begin from load_checkpoint would go unnoticed."""
    (latest / "empty").symlink_to(latest)
    (latest / "loop").symlink_to("loop")
    for name in ("broken", "empty", "loop"):
        for wish in ("latest", name):
            with pytest.raises(
                NoBaseError, match=rf"latest/{name} has no {MERGED} any more.*rollback {name}"
            ) as raised:
                weights_to_load(GlmdSection(continue_from=wish), name, latest)
            assert raised.value.code == Code.PROMOTION_GONE


def test_a_cycles_own_goes_before_what_others_have_published(latest: Path, tmp_path: Path) -> None:
    """But where its file names a prefix, and where it has none of this prefix."""
    own = {"glm-6b": tmp_path / "own"}
    with pytest.raises(NoBaseError, match="own, which its nightly cycle has promoted last, has no"):
        weights_to_load(GlmdSection(continue_from="latest"), "glm-6b", latest, own)
    own["glm-6b"].mkdir()
    (own["glm-6b"] / MERGED).write_bytes(b"mine")
    theirs = latest.parent / "jobs" / "0001-a" / "merged" / MERGED
    assert weights_to_load(GlmdSection(continue_from="latest"), "glm-6b", latest, own) == own["glm-6b"] / MERGED
    assert weights_to_load(GlmdSection(continue_from="glm-6b"), "glm-6b", latest, own) == theirs
    assert weights_to_load(GlmdSection(continue_from="latest"), "glm-6b", latest, {"llama": tmp_path}) == theirs


def test_another_prefix_has_to_be_published(latest: Path) -> None:
    """The run's own, named, is a first night as with `latest`; of another nothing can be meant but what is there."""
    assert (
        weights_to_load(GlmdSection(continue_from="glm-6b"), "llama", latest) == (latest / "glm-6b" / MERGED).resolve()
    )
    assert weights_to_load(GlmdSection(continue_from="llama"), "llama", latest) is None
    with pytest.raises(NoBaseError, match="nothing of prefix gpt is published; there is: broken, glm-6b") as raised:
        weights_to_load(GlmdSection(continue_from="gpt"), "llama", latest)
    assert raised.value.code == Code.CONFIG_CONTINUE_FROM


def test_none_and_paths(latest: Path) -> None:
    """`none` leaves it to the YAML; a path is that path."""
    assert weights_to_load(GlmdSection(), "glm-6b", latest) is None
    assert weights_to_load(GlmdSection(continue_from="/a.ckpt"), "glm-6b", latest) == Path("/a.ckpt")


def test_whole_weights_to_cut(weights: Path, tmp_path: Path) -> None:
    """A file is given to MindFormers as rank 0's checkpoint in a directory, a directory as it is; twice is harmless."""
    for _ in range(2):
        directory = as_rank_directory(weights / "glm.ckpt", tmp_path / "initial")
        assert [path.relative_to(directory) for path in directory.rglob("*.ckpt")] == [Path("rank_0/glm.ckpt")]
        assert (directory / "rank_0" / "glm.ckpt").read_bytes() == b"weights"
    assert as_rank_directory(weights / "one", tmp_path / "initial") == weights / "one"


def test_continuing_with_cut_weights(weights: Path) -> None:
    """What continue_from names may be one file: it is put into a directory, where auto_trans_ckpt says so."""
    sink = "runner_config: {sink_mode: True}\n"
    text = f"{sink}glmd: {{continue_from: {weights}/glm.ckpt}}\n"
    assert findings_of(f"auto_trans_ckpt: True\n{text}", CUT) == Findings()
    assert "one file for model_parallel 2" in str(findings_of(text, CUT).warnings[0])
    latest = findings_of(f"{sink}glmd: {{continue_from: latest}}", CUT, published=weights / "glm.ckpt")
    assert "glmd.continue_from: one file for model_parallel 2" in str(latest.warnings[0])


@pytest.mark.parametrize(
    ("text", "what"),
    (
        ("seed: 0", "1:1: load_checkpoint: is missing (a finetune starts from weights"),
        ("load_checkpoint: ''", "1:1: load_checkpoint: is empty"),
        ("load_checkpoint:", "1:1: load_checkpoint: is empty"),
        ("load_checkpoint: False", "load_checkpoint: is empty"),
        ("model: {model_config: {checkpoint_name_or_path: glm_6b}}", "does not look at checkpoint_name_or_path"),
        ("glmd: {continue_from: latest}", "nothing is published yet that continue_from: latest could take"),
        ("load_checkpoint: True", "1:18: load_checkpoint: True is no path"),
        ("load_checkpoint: [a]", "a list is no path"),
        ("load_checkpoint: ./glm.ckpt", "'./glm.ckpt' is a relative path"),
        ("load_checkpoint: /nowhere.ckpt", "'/nowhere.ckpt' is not there"),
        (
            "load_checkpoint: /nowhere\nglmd:\n  continue_from: /n.ckpt",
            "3:18: glmd.continue_from: '/n.ckpt' is not there",
        ),
    ),
)
def test_a_finetune_needs_weights(text: str, what: str) -> None:
    """A finetune without weights that are there is one problem, at the key that counts."""
    assert [what in str(problem) for problem in findings_of(text).problems] == [True]


def test_training_starts_from_nothing() -> None:
    """A training needs no weights, but those it names must be there."""
    assert findings_of("seed: 0", run_mode="train") == Findings()
    assert len(findings_of("load_checkpoint: /nowhere", run_mode="train").problems) == 1


def test_latest_needs_nothing_else(latest: Path) -> None:
    """With something published, what load_checkpoint says is not looked at."""
    text = "load_checkpoint: /path/to/it.ckpt\nglmd: {continue_from: latest}"
    assert findings_of(text, published=latest / "glm-6b" / MERGED) == Findings()


def test_first_night(weights: Path) -> None:
    """With nothing published yet, `latest` starts from load_checkpoint, and says so."""
    findings = findings_of(f"load_checkpoint: {weights}/glm.ckpt\nglmd: {{continue_from: latest}}")
    assert findings.problems == []
    assert "nothing of this prefix is published yet (glmd uses load_checkpoint this time)" in str(findings.warnings[0])


@pytest.mark.parametrize(
    ("path", "more", "parallel", "what"),
    (
        ("glm.ckpt", "", ALONE, ""),
        ("both", "", ALONE, ""),
        ("both", "runner_config: {sink_mode: True}", CUT, ""),
        ("one", "auto_trans_ckpt: True", ALONE, ""),
        ("one", "", ALONE, "holds no .ckpt in rank_1/"),
        ("none", "", ALONE, "holds no .ckpt in rank_0/"),
        ("none", "auto_trans_ckpt: True", ALONE, "holds no rank_N directories"),
        (
            "glm.ckpt",
            "auto_trans_ckpt: True",
            ALONE,
            "is one file (auto_trans_ckpt needs a directory that holds rank_0/",
        ),
        (
            "both",
            "runner_config: {sink_mode: False}",
            CUT,
            "runner_config.sink_mode: is False (MindFormers loads weights",
        ),
        ("both", "runner_config: {epochs: 1}", CUT, "runner_config.sink_mode: is missing"),
    ),
)
def test_forms_of_weights(weights: Path, path: str, more: str, parallel: Parallel, what: str) -> None:
    """A file, a shard for each rank, or what is to be transformed: each has the form that MindFormers asks for."""
    problems = findings_of(f"load_checkpoint: {weights}/{path}\n{more}\n", parallel).problems
    assert [what in str(problem) for problem in problems] == ([True] if what else [])


@pytest.mark.parametrize(
    ("value", "parallel", "what"),
    (
        (
            "{weights}/glm.ckpt",
            CUT,
            "one file for model_parallel 2 (MindFormers cuts whole weights with auto_trans_ckpt: True, out of",
        ),
        ("glm_6b", ALONE, "every rank will download 'glm_6b'"),
    ),
)
def test_doubtful_weights_are_a_warning(weights: Path, value: str, parallel: Parallel, what: str) -> None:
    """What may work, but rarely as meant, is said and not refused."""
    text = f"load_checkpoint: {value.format(weights=weights)}\nrunner_config: {{sink_mode: True}}"
    findings = findings_of(text, parallel)
    assert findings.problems == []
    assert what in str(findings.warnings[0])


@pytest.mark.parametrize("wish", ("lora: only", "format: safetensors", "keep: [scalars]"))
def test_latest_and_a_result_that_is_none(weights: Path, wish: str) -> None:
    """A cycle that publishes what no training can start from begins with the same weights every night."""
    text = f"glmd: {{continue_from: latest, merge: {{{wish}}}}}\n"
    findings = findings_of(text, published=weights / "glm.ckpt")
    assert [problem.where for problem in findings.warnings] == ["glmd.continue_from"]
    assert "will not find what the jobs of this file publish" in str(findings.warnings[0])
    assert findings_of("glmd: {continue_from: latest}\n", published=weights / "glm.ckpt") == Findings()
