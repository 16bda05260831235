"""Promises of daemon.serve.jobs.evaluations: what is planned for an evaluation."""

import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.setting_sections import EvaluationSettings, TrainingSettings
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmCommands, SlurmSettings
from daemon.core.states import Job, State
from daemon.serve.jobs.evaluations import prepare_evaluation
from handlers.errors import BadInputError
from handlers.gate.gate import Gate
from handlers.gate.on_a_node import IN_QUEUE
from handlers.merging.merge import run as merge_run
from handlers.records.evaluation_plan import EvaluationPlan, Telling
from handlers.records.job_dir import Step
from handlers.records.merge_plan import MergePlan
from handlers.records.train_plan import Environments
from handlers.validate.remembered import as_record
from tests.unit.daemon.serve.jobs.test_prepare import CHECKED
from tests.unit.handlers.ckpt.ckpt_writer import small_run

NOW = datetime.now(UTC)
JOB = Job(
    id=1, name="run", state=State.EVALUATING, reason="", attempt=2, priority=0, devices=(6, 7), prefix="glm-6b",
    cancel=False, submitted=NOW, changed=NOW,
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root in which the job was merged."""
    place = Root(tmp_path)
    directory = JOB.directory(place.path)
    run = small_run(directory.output).write()
    merge_run(MergePlan(source=run.source, destination=directory.merged))
    for path in (directory.submitted, directory.config):
        path.write_text("seed: 0\n")
    return place


def settings(name: str, evaluations: dict[str, EvaluationSettings], checkout: Path = Path("/opt")) -> Settings:
    """Return settings whose gate asks for an evaluation."""
    training = TrainingSettings(python=Path(sys.executable), checkout=checkout, environment={"A": "1", "B": "1"})
    return Settings(gate=Gate(evaluate=name), evaluations=evaluations, training=training)


def planned(root: Root) -> tuple[EvaluationPlan, dict[str, str]]:
    """Return what was written, and the environment."""
    records = JOB.directory(root.path).step(2, Step.EVALUATE)
    (environment,) = Environments.read(records.environment).processes
    return EvaluationPlan.read(records.plan), environment


def test_a_command_of_the_settings(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is that of trainings, and its own on top; no secret of the daemon's is in it."""
    monkeypatch.setenv("SOME_TOKEN", "secret")
    own = EvaluationSettings(command=("bleu", "--dev"), devices=(3,), timeout=60.0, environment={"B": "2"})
    prepare_evaluation(JOB, settings("bleu", {"bleu": own}), root, None)
    plan, environment = planned(root)
    assert (plan.name, plan.argv, plan.devices, plan.timeout, plan.telling) == (
        "bleu", ("bleu", "--dev"), (3,), 60.0, Telling.JSON
    )  # fmt: skip
    assert (environment["A"], environment["B"], environment["ASCEND_RT_VISIBLE_DEVICES"]) == ("1", "2", "3")
    assert environment["GLMD_MERGED"] == str(JOB.directory(root.path).merged)
    assert not {"SOME_TOKEN", "GLMD_CHAMPION"} & environment.keys()


@pytest.mark.parametrize("case", ("another", "itself", "nowhere"))
def test_the_champion_is_where_latest_leads(root: Root, case: str) -> None:
    """As a directory, not as a link that may move meanwhile."""
    merged = JOB.directory(root.path).merged
    target = {"another": root.path / "other", "itself": merged, "nowhere": root.path / "gone"}[case]
    (root.path / "other").mkdir()
    link = root.path / "link"
    link.symlink_to(target)
    prepare_evaluation(JOB, settings("bleu", {"bleu": EvaluationSettings(command=("x",))}), root, link)
    _, environment = planned(root)
    assert environment.get("GLMD_CHAMPION") == (str(target) if case == "another" else None)


def test_mindformers_own_evaluation(root: Root, tmp_path: Path) -> None:
    """It runs the job's YAML with the merged file, alone on the training's first device; its output is its own."""
    (tmp_path / "run_mindformer.py").write_text("--output_dir\n")
    prepare_evaluation(JOB, settings("mindformers", {}, tmp_path), root, None)
    plan, environment = planned(root)
    directory = JOB.directory(root.path)
    output = directory.step(2, Step.EVALUATE).path / "work" / "output"
    assert (plan.devices, plan.telling, plan.timeout) == ((6,), Telling.MINDFORMERS, 3600.0)
    assert set(plan.argv) >= {
        "--run_mode=eval", "--use_parallel=False", "--device_id=0", f"--config={directory.config}",
        f"--load_checkpoint={directory.merged / 'filtered_transformed.ckpt'}", f"--output_dir={output}",
    }  # fmt: skip
    assert (environment["ASCEND_RT_VISIBLE_DEVICES"], environment["LOCAL_DEFAULT_PATH"]) == ("6", str(output))


def test_of_a_job_of_slurms_mindformers_evaluates_on_a_node(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one device of it, by the account of the training, for no longer than it may; the queue counts apart."""
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/test.conf")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    (tmp_path / "run_mindformer.py").write_text("--output_dir\n")
    job = replace(JOB, devices=(), nodes=2, ranks_in_all=16)
    JOB.directory(root.path).submitted.write_text("glmd:\n  slurm: {nodes: 2, account: own}\n")
    slurm = SlurmSettings(
        account="site",
        partition="npu",
        prologue="source set_env.sh\n",
        commands=SlurmCommands(sbatch="/opt/slurm/sbatch"),
    )
    prepare_evaluation(job, settings("mindformers", {}, tmp_path).model_copy(update={"slurm": slurm}), root, None)
    plan, environment = planned(root)
    asked = plan.argv[: plan.argv.index("/bin/bash")]
    assert asked[3:5] == ("squeue", "/opt/slurm/srun")
    assert re.fullmatch(r"--job-name=glmd-[0-9a-f]{8}-0001-2-evaluate", asked[5])
    wanted = {"--nodes=1", "--time=60", "--mem=0", "--partition=npu", "--account=own", "--gres=npu:1"}
    assert set(asked) >= wanted
    assert plan.argv[len(asked) :][:4] == ("/bin/bash", "-c", 'source set_env.sh\nexec "$@"', "glmd")
    assert plan.argv[len(asked) + 4] == sys.executable
    assert (plan.devices, plan.timeout) == ((), 3600.0 + IN_QUEUE)
    assert environment["SLURM_CONF"] == "/etc/slurm/test.conf"
    assert not {"SLURM_JOB_ID", "ASCEND_RT_VISIBLE_DEVICES"} & environment.keys()


@pytest.mark.parametrize("case", ("devices", "command", "no-slurm"))
def test_what_the_settings_say_else_of_such_a_job_holds(root: Root, tmp_path: Path, case: str) -> None:
    """Devices of this host, or a command, are used here; without Slurm it says what to do."""
    (tmp_path / "run_mindformer.py").write_text("--output_dir\n")
    job = replace(JOB, devices=(), nodes=2, ranks_in_all=16)
    own = EvaluationSettings(command=("bleu",)) if case == "command" else EvaluationSettings(devices=(3,))
    name, known = ("bleu", {"bleu": own}) if case == "command" else ("mindformers", {"mindformers": own})
    if case == "no-slurm":
        with pytest.raises(BadInputError, match="no section `slurm:` any more"):
            prepare_evaluation(job, settings("mindformers", {}, tmp_path), root, None)
        return
    prepare_evaluation(job, settings(name, known, tmp_path), root, None)
    plan, _ = planned(root)
    assert "srun" not in plan.argv
    assert plan.devices == (() if case == "command" else (3,))


def test_mindformers_own_evaluation_has_the_classes_that_were_trained_with(root: Root, tmp_path: Path) -> None:
    """A model of the file's own is of its register path."""
    (tmp_path / "run_mindformer.py").write_text("--output_dir\n")
    record = as_record(replace(CHECKED, register_path=tmp_path / "code"), "digest")
    assert record is not None
    record.publish(JOB.directory(root.path).checked)
    prepare_evaluation(JOB, settings("mindformers", {}, tmp_path), root, None)
    assert f"--register_path={tmp_path}/code" in planned(root)[0].argv


@pytest.mark.parametrize("case", ("tree", "checkout", "safetensors", "gone"))
def test_what_cannot_be_evaluated_says_why(root: Root, tmp_path: Path, case: str) -> None:
    """And what to do."""
    directory = JOB.directory(root.path)
    if case != "checkout":
        (tmp_path / "run_mindformer.py").touch()
    if case == "tree":
        directory.config.unlink()
    if case == "safetensors":
        manifest = directory.merged / "manifest.json"
        manifest.write_text(manifest.read_text().replace("filtered_transformed.ckpt", "model.safetensors"))
    given = settings("mindformers", {}, tmp_path)
    if case == "gone":
        given = given.model_copy(update={"gate": Gate(evaluate="bleu")})
    told = {
        "tree": "watched tree has no YAML", "checkout": "training.checkout",
        "safetensors": "merge: format: ckpt", "gone": "bleu is not in the settings any more",
    }  # fmt: skip
    with pytest.raises(BadInputError, match=told[case]):
        prepare_evaluation(JOB, given, root, None)
