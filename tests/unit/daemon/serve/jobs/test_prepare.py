"""Promises of daemon.serve.jobs.prepare: the merge is planned as the file wishes."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.setting_sections import StopOnSettings, TrainingSettings
from daemon.core.settings import Settings
from daemon.serve.jobs.prepare import _chosen, _configuration, _limits, _stop_on, plan_merging
from handlers.ckpt.entry import Family, OutputFormat
from handlers.ckpt.planning.lora import Lora, LoraScale
from handlers.ckpt.planning.network import KeyStyle, Names, Network
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.records.checked import Spot
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan, StopOn, TimeLimits
from handlers.records.merge_plan import MergePlan
from handlers.records.step_exit import Outcome, Silences, StepExit
from handlers.training.ways import Chosen, Way
from handlers.validate.check import CheckedConfig
from handlers.validate.glmd_section import GlmdSection, MergeWish
from handlers.validate.remembered import as_record, from_record

CHECKED = CheckedConfig(
    section=GlmdSection(),
    devices=(0, 1),
    devices_at=Spot(line=1, column=1, where="", excerpt=""),
    run_mode="finetune",
    prefix="glm-6b",
    dialect=dialect_of(OF_GLM_6B),
    device_target="Ascend",
    parallel_mode=1,
    needs_strategy=True,
    cuts_weights=False,
    config=b"{}\n",
    warnings=(),
    lora_scale=None,
)


def planned(
    tmp_path: Path, wish: MergeWish, scale: LoraScale | None = None, checked: CheckedConfig = CHECKED
) -> MergePlan:
    """Plan the merge of a job whose file has this wish; by way of plan.json, as the step reads it."""
    checked = replace(checked, section=GlmdSection(merge=wish), lora_scale=scale)
    directory = JobDir(tmp_path / "jobs" / "0001-a")
    merge = plan_merging(checked, directory)
    path = tmp_path / "plan.json"
    JobPlan(job=1, name="a", merge=merge).publish(path)
    assert JobPlan.read(path).merge == merge
    return merge


def test_an_output_for_hugging_face(tmp_path: Path) -> None:
    """Weights alone; the base model, and what the file says of the network, go along."""
    config = b"model: {model_config: {type: ChatGLM2Config, num_layers: 40, use_rearrange_rope: True}}\n"
    checked = replace(CHECKED, config=config)
    wish = MergeWish(format=OutputFormat.HUGGINGFACE, hf_base="/models/glm-4-9b-hf", hf_names=Names.GLM)
    merge = planned(tmp_path, wish, checked=checked)
    assert (merge.format, merge.keep, merge.can_be_continued) == (OutputFormat.HUGGINGFACE, ("weights",), False)
    assert (merge.hf_base, merge.hf_names) == (Path("/models/glm-4-9b-hf"), Names.GLM)
    assert merge.network == Network(where="config.yaml", said=KeyStyle.MINDFORMERS, layers=40, rearranged=True)


def test_a_plain_file(tmp_path: Path) -> None:
    """Weights and scalars in one .ckpt, and a training could go on from it."""
    assert planned(tmp_path, MergeWish()) == MergePlan(
        source=tmp_path / "jobs" / "0001-a" / "output",
        ranks=2,
        prefix="glm-6b",
        allow_not_finite=("*",),
        destination=tmp_path / "jobs" / "0001-a" / "merged",
        can_be_continued=True,
    )


def test_all_wishes_reach_the_merge(tmp_path: Path) -> None:
    """None is accepted and forgotten."""
    wish = MergeWish(
        tag="31_4",
        format=OutputFormat.SAFETENSORS,
        max_shard_size=5,
        keep=(Family.WEIGHTS, Family.OPTIMIZER),
        transformed=True,
        lora=Lora.MERGE,
        layout_from="/full.ckpt",
    )
    merge = planned(tmp_path, wish, LoraScale(32, 8))
    for name in ("tag", "format", "max_shard_size", "keep", "transformed", "lora"):
        assert getattr(merge, name) == getattr(wish, name)
    assert (merge.lora_alpha, merge.lora_rank, merge.layout_from) == (32, 8, Path("/full.ckpt"))


def test_the_merge_knows_the_job_s_stages(tmp_path: Path) -> None:
    """So that the strategy files of fewer are no whole run's."""
    directory = JobDir(tmp_path / "jobs" / "0001-a")
    assert plan_merging(replace(CHECKED, stages=2), directory).stages == 2


def test_latest_is_for_what_a_training_can_start_from(tmp_path: Path) -> None:
    """A nightly cycle must not come upon the adapters alone, which MindFormers would fill up with random weights."""
    assert planned(tmp_path, MergeWish(lora=Lora.ONLY)).can_be_continued is False
    assert planned(tmp_path, MergeWish(format=OutputFormat.SAFETENSORS)).can_be_continued is False
    assert planned(tmp_path, MergeWish(lora=Lora.MERGE), LoraScale(32, 8)).can_be_continued is True


@pytest.mark.parametrize(
    ("said", "set_", "has_table"),
    ((None, False, False), (None, True, True), (True, False, True), (False, True, False)),
)
def test_a_cluster_has_a_table_where_the_file_says_so_or_else_the_settings(
    *, said: bool | None, set_: bool, has_table: bool
) -> None:
    """What the file's MindFormers begins with by itself is in handlers.training.ways."""
    checked = replace(CHECKED, section=GlmdSection(with_rank_table=said), dialect=dialect_of(Version(1, 9)))
    settings = Settings(training=TrainingSettings(with_rank_table=set_))
    assert _chosen(checked, settings) == Chosen(Way.CLUSTER, has_table=has_table)


def test_a_later_attempt_has_the_limits_that_were_set(tmp_path: Path) -> None:
    """Earlier trainings may have had a tiny data set: what was learned from them must not end the same job twice."""
    records, now = JobDir(tmp_path / "jobs" / "0001-tiny").step(1, Step.TRAIN), datetime.now(UTC)
    records.path.mkdir(parents=True)
    silences = Silences(configuration=_configuration(CHECKED), load=1, first_step=1, step=1, saving=1)
    StepExit(step=Step.TRAIN, outcome=Outcome.COMPLETED, reason="", silences=silences, started=now, ended=now).publish(
        records.exit
    )
    first, later = (_limits(CHECKED, Root(tmp_path), attempt) for attempt in (1, 2))
    assert (first.learned_from, first.load, first.silence) == (1, 600, 300)
    assert later == TimeLimits()


@pytest.mark.parametrize(
    ("said", "planned"),
    (
        ({}, StopOn(not_finite=7, rise=3.0)),
        ({"stop_on": {}}, StopOn(not_finite=7, rise=3.0)),
        ({"stop_on": {"not_finite": 20}}, StopOn(not_finite=20, rise=3.0)),
        ({"stop_on": {"rise": "off"}}, StopOn(not_finite=7, rise=None)),
        ({"stop_on": {"not_finite": False, "rise": 2}}, StopOn(not_finite=None, rise=2.0)),
    ),
)
def test_the_file_says_when_it_has_diverged_or_else_the_settings(said: dict[str, object], planned: StopOn) -> None:
    """Each key for itself, also where the file says the default; and after checked.json was read again."""
    settings = Settings(stop_on=StopOnSettings(not_finite=7, rise=3))
    checked = replace(CHECKED, section=GlmdSection.model_validate(said))
    assert _stop_on(checked, settings) == planned
    record = as_record(checked, "digest")
    assert record is not None
    assert _stop_on(from_record(record, b""), settings) == planned
