"""What an attempt on nodes is planned with: by way of the records that its shims, and Slurm, read."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.slurm_settings import DevicesFrom, SlurmSettings
from daemon.core.states import Job, State
from daemon.serve.jobs.planning_on_nodes import planned_on_nodes
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir
from handlers.records.nodes_plan import NodesPlan
from handlers.records.slurm import Intent
from handlers.training.plan import TrainRequest
from handlers.training.ways import Way
from handlers.validate.glmd_section import GlmdSection
from handlers.validate.slurm_section import SlurmWish
from tests.unit.daemon.serve.jobs.test_prepare import CHECKED

NOW = datetime(2026, 11, 30, tzinfo=UTC)
JOB = Job(1, "run", State.PREPARING, "", 1, 0, (), "glm-6b", False, NOW, NOW, nodes=2, ranks_in_all=4)


def planned(root: Root, wish: SlurmWish, slurm: SlurmSettings, *, cuts: bool = False, **settings: str) -> NodesPlan:
    """Return the plan of a job with that wish; `settings` is what ranks have in their environment."""
    checkout = root.path / "mindformers"
    checkout.mkdir(exist_ok=True)
    (checkout / "run_mindformer.py").write_text("")
    directory = JOB.directory(root.path)
    directory.path.mkdir(parents=True, exist_ok=True)
    request = TrainRequest(
        job_dir=JobDir(directory.path),
        devices=(),
        run_mode="finetune",
        device_target="Ascend",
        python=Path(sys.executable),
        checkout=checkout,
        way=Way.CLUSTER,
        extra_environment=settings,
    )
    checked = replace(
        CHECKED, section=GlmdSection(slurm=wish), nodes=wish.nodes, devices_per_node=2, devices=(), cuts_weights=cuts
    )
    return planned_on_nodes(request, checked, Settings(slurm=slurm), JOB, root)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return one with its directories."""
    made = Root(tmp_path)
    made.create()
    return made


def test_what_the_file_wishes_is_written_down_before_it_is_submitted(root: Root) -> None:
    """Where, for how long, and for how long to wait: another daemon reads it there."""
    wish = SlurmWish(nodes=2, partition="npu", time=3600, wait=7200)
    plan = planned(root, wish, SlurmSettings(gres="ascend", devices_from=DevicesFrom.SLURM))
    assert (plan.devices_from, plan.gres) == ("slurm", "ascend")
    intent = Intent.read(NodesDir(JOB.directory(root.path).step(1, Step.TRAIN)).intent)
    assert intent.wait == 7200
    assert {"--nodes=2", "--partition=npu", "--time=60", "--gres=ascend:2", "--mem=0"} <= set(intent.options)


@pytest.mark.parametrize(
    ("nodes", "cuts", "settings", "has"),
    (
        (2, True, {}, "the root"),
        (2, True, {"SHARED_PATHS": "/shared"}, "/shared"),
        (2, False, {}, None),
        (1, True, {}, None),
    ),
)
def test_ranks_of_several_nodes_are_told_what_all_see(
    root: Root, nodes: int, settings: dict[str, str], has: str | None, *, cuts: bool
) -> None:
    """Where MindFormers is to cut whole weights for them; the settings may know better."""
    plan = planned(root, SlurmWish(nodes=nodes), SlurmSettings(), cuts=cuts, **settings)
    assert (plan.environment or {}).get("SHARED_PATHS") == (str(root.path) if has == "the root" else has)
