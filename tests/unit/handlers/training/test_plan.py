"""What a training runs."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.errors import BadInputError
from handlers.records.job_dir import JobDir
from handlers.records.job_plan import Environments, Role, TimeLimits
from handlers.training.plan import TrainRequest, plan_training
from handlers.training.ways import Way


@pytest.fixture
def request_(tmp_path: Path) -> TrainRequest:
    """Return a request for four devices of one ring, whose MindFormers knows --output_dir."""
    checkout = tmp_path / "mindformers"
    checkout.mkdir()
    (checkout / "run_mindformer.py").write_text("parser.add_argument('--output_dir', default=None)\n")
    job_dir = JobDir(tmp_path / "jobs" / "0042-demo")
    job_dir.path.mkdir(parents=True)
    return TrainRequest(
        job_dir=job_dir,
        devices=(4, 5, 6, 7),
        run_mode="finetune",
        device_target="Ascend",
        python=Path(sys.executable),
        checkout=checkout,
        rank_table=job_dir.path / "hccl_4p_4567_10.0.0.1.json",
    )


def test_one_rank_a_device(request_: TrainRequest) -> None:
    """Ranks count from 0 in the order of the devices, with what run_distribute.sh sets."""
    plan = plan_training(request_)
    assert [process.role for process in plan.processes] == [Role.RANK] * 4
    assert [(rank.number, rank.device) for rank in plan.ranks] == [(0, 4), (1, 5), (2, 6), (3, 7)]
    assert [process.rank for process in plan.processes] == list(plan.ranks)
    job_dir = request_.job_dir
    for rank, process in enumerate(plan.processes):
        assert {
            "RANK_ID": str(rank),
            "RANK_SIZE": "4",
            "DEVICE_ID": str(rank + 4),
            "RANK_TABLE_FILE": str(request_.rank_table),
            "LOCAL_DEFAULT_PATH": str(job_dir.output),
            "LOG_MF_PATH": str(job_dir.output / "log"),
        }.items() <= process.environment.items()
        assert "MS_ROLE" not in process.environment
        assert process.log == job_dir.output / "log" / f"rank_{rank}" / "mindformer.log"
    assert len({process.directory for process in plan.processes}) == 4


def test_command(request_: TrainRequest) -> None:
    """All ranks run the checkout's script by its absolute path, with run_distribute.sh's arguments."""
    job_dir = request_.job_dir
    for process in plan_training(request_).processes:
        assert process.argv == (
            sys.executable,
            str(request_.checkout / "run_mindformer.py"),
            f"--config={job_dir.config}",
            "--use_parallel=True",
            "--run_mode=finetune",
            f"--output_dir={job_dir.output}",
        )


def test_a_resumed_training_runs_its_own_configuration(request_: TrainRequest, tmp_path: Path) -> None:
    """All ranks the same one."""
    config = tmp_path / "config.yaml"
    for process in plan_training(replace(request_, config=config)).processes:
        assert f"--config={config}" in process.argv


def test_older_script_gets_no_output_dir(request_: TrainRequest) -> None:
    """MindFormers 0.8 knows no --output_dir; LOCAL_DEFAULT_PATH serves."""
    (request_.checkout / "run_mindformer.py").write_text("parser.add_argument('--config')\n")
    process = plan_training(request_).processes[0]
    assert not any("output_dir" in argument for argument in process.argv)
    assert process.environment["LOCAL_DEFAULT_PATH"] == str(request_.job_dir.output)


def test_continue_from(request_: TrainRequest, tmp_path: Path) -> None:
    """What to continue from is handed to every rank."""
    plan = plan_training(replace(request_, load_checkpoint=tmp_path / "latest.ckpt"))
    assert all(process.argv[-1] == f"--load_checkpoint={tmp_path}/latest.ckpt" for process in plan.processes)


def test_a_register_path(request_: TrainRequest, tmp_path: Path) -> None:
    """Only by this argument does run_mindformer.py learn of it: the key in the YAML it passes over."""
    plan = plan_training(replace(request_, register_path=tmp_path))
    assert all(process.argv[-1] == f"--register_path={tmp_path}" for process in plan.processes)


def test_limits_and_grace_are_handed_on(request_: TrainRequest) -> None:
    """The shim reads when to take the training for hung from the plan."""
    limits = TimeLimits(silence=1, first_step=2, total=3)
    plan = plan_training(replace(request_, limits=limits, grace=7))
    assert (plan.limits, plan.grace) == (limits, 7)


def test_environment(request_: TrainRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's environment is handed on without what concerns only the daemon, a left-over rank, or secrets."""
    handed_on = {"LD_LIBRARY_PATH": "/a", "ASCEND_OPP_PATH": "/b", "TOKENIZERS_PARALLELISM": "false", "LANG": "C.UTF-8"}
    kept_back = (
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "LISTEN_FDS",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "VIRTUAL_ENV",
        "MS_ROLE",
        "MS_SCHED_PORT",
        "HUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
    )
    for name, value in {**handed_on, **dict.fromkeys(kept_back, "x"), "RANK_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", "/usr/local/Ascend/python")
    plan = plan_training(replace(request_, extra_environment={"HCCL_CONNECT_TIMEOUT": "600", "LANG": "zh_CN.UTF-8"}))
    environment = plan.processes[0].environment
    assert {**handed_on, "LANG": "zh_CN.UTF-8", "HCCL_CONNECT_TIMEOUT": "600"}.items() <= environment.items()
    assert not set(kept_back) & set(environment)
    assert environment["RANK_ID"] == "0"
    assert environment["PATH"] == f"{Path(sys.executable).parent}:/usr/bin:/bin"
    assert environment["PYTHONPATH"] == f"{request_.checkout}:/usr/local/Ascend/python"


def test_undecodable_environment_does_not_break_the_plan(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable that environment.json cannot hold is left out."""
    monkeypatch.setenv("ODD", os.fsdecode(b"\xff"))
    plan = plan_training(request_)
    assert "ODD" not in plan.processes[0].environment
    plan.environments.publish(tmp_path / "environment.json")
    assert Environments.read(tmp_path / "environment.json") == plan.environments


def test_missing_interpreter(request_: TrainRequest, tmp_path: Path) -> None:
    """The error names the path, the setting and what it should be."""
    with pytest.raises(BadInputError, match=r"/no-python: .*is not there; set `training.python` in glmd.yaml"):
        plan_training(replace(request_, python=tmp_path / "no-python"))


def test_interpreter_that_cannot_run(request_: TrainRequest, tmp_path: Path) -> None:
    """A file that is no program is told from one that is missing."""
    (tmp_path / "python").touch(mode=0o644)
    with pytest.raises(BadInputError, match=r"is not executable by this user; set `training\.python`"):
        plan_training(replace(request_, python=tmp_path / "python"))


def test_missing_checkout(request_: TrainRequest, tmp_path: Path) -> None:
    """The error names the script that is missing and the setting."""
    with pytest.raises(BadInputError, match=r"/elsewhere/run_mindformer.py: is not there; set `training.checkout`"):
        plan_training(replace(request_, checkout=tmp_path / "elsewhere"))


def test_link_of_a_virtual_environment_is_kept(request_: TrainRequest, tmp_path: Path) -> None:
    """A virtual environment's python is run through its link: resolved, it would be another interpreter."""
    link = tmp_path / "venv" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to(sys.executable)
    assert plan_training(replace(request_, python=link)).processes[0].argv[0] == str(link)


def test_a_module_in_its_place(request_: TrainRequest, tmp_path: Path) -> None:
    """The interpreter finds it, perhaps where no checkout is; one that stands in for today's knows --output_dir."""
    request = replace(request_, entry="site_tools.train", checkout=tmp_path / "elsewhere")
    argv = plan_training(request).processes[0].argv
    assert argv[:3] == (sys.executable, "-m", "site_tools.train")
    assert f"--output_dir={request_.job_dir.output}" in argv


def test_a_script_in_its_place(request_: TrainRequest, tmp_path: Path) -> None:
    """It is asked for --output_dir itself, and missed by its own name."""
    (tmp_path / "train.py").write_text("parser.add_argument('--config')\n")
    process = plan_training(replace(request_, entry=str(tmp_path / "train.py"))).processes[0]
    assert process.argv[1] == str(tmp_path / "train.py")
    assert not any("output_dir" in argument for argument in process.argv)
    with pytest.raises(BadInputError, match=r"mindformers/tools/train.py: is not there; .* or `training.entry`"):
        plan_training(replace(request_, entry="tools/train.py"))


def test_a_cluster_has_a_scheduler(request_: TrainRequest) -> None:
    """It starts first, that no rank calls in vain."""
    plan = plan_training(replace(request_, devices=(0, 1), way=Way.CLUSTER))
    assert [(process.role, [rank.number for rank in process.ranks]) for process in plan.processes] == [
        (Role.SCHEDULER, []),
        (Role.RANK, [0]),
        (Role.RANK, [1]),
    ]
