"""What Slurm is asked for, for the merge of a training's shards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import JsonValue

from daemon.core.root import Root
from daemon.core.slurm_settings import SlurmMerge, SlurmSettings
from daemon.core.states import Job
from daemon.core.store import NewJob, Store
from daemon.serve.jobs.planning_on_nodes import lay_out_merge
from daemon.serve.steps.slurm.submission import SlurmRecords
from handlers.records.checked import Checked, Spot
from handlers.records.job_dir import Step
from handlers.records.nodes import Request
from handlers.records.slurm import Intent

SPOT = Spot(line=1, column=1, where="", excerpt="")


class House:
    """A job on two nodes that is to be merged."""

    def __init__(self, root: Root, job: Job) -> None:
        self.root, self.job = root, job
        self.records = SlurmRecords(job.directory(root.path), 1, Step.MERGE)

    def checked(self, slurm: dict[str, JsonValue]) -> None:
        """Let its file have said that of Slurm."""
        Checked(
            digest="x", mindformers="0.8", against="", dialect="", section={"slurm": slurm}, devices=(),
            devices_at=SPOT, run_mode="finetune", prefix="glm-6b", device_target="Ascend", parallel_mode=0,
            needs_strategy=True, cuts_weights=False, sink_size=None, stages=None, lora_alpha=None, lora_rank=None,
            paths=(), disk=None,
        ).publish(self.job.directory(self.root.path).checked)  # fmt: skip

    def asked(self, slurm: SlurmSettings) -> set[str]:
        """Return what Slurm is asked for, but for what is always so."""
        lay_out_merge(self.job, slurm, self.root)
        names = ("nodes", "partition", "account", "qos", "reservation", "exclude", "gres", "mem", "time", "signal")
        wanted = tuple(f"--{name}=" for name in (*names, "cpus-per-task", "switches"))
        return {option for option in Intent.read(self.records.intent).options if option.startswith(wanted)}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return one whose directory is there."""
    root = Root(tmp_path)
    root.create()
    with Store.open(root.store) as store:
        job = store.add(NewJob("claim", "run", nodes=2, ranks=4))
        job.directory(root.path).path.mkdir(parents=True)
        yield House(root, job)


def test_a_merge_has_one_node_without_devices(house: House) -> None:
    """Whatever is known of its training's wishes: the settings alone are enough."""
    slurm = SlurmSettings(partition="npu", reservation="march", options=("--switches=1",), time=86400.0)
    wanted = {"--nodes=1", "--cpus-per-task=4", "--mem=2G", "--partition=npu"}
    assert house.asked(slurm) == wanted


def test_a_merge_is_on_the_account_of_its_training(house: House) -> None:
    """And keeps off the same nodes; the rest is its own."""
    house.checked({"nodes": 2, "partition": "npu", "account": "zhang", "qos": "low", "exclude": "n7", "time": 3600})
    merge = SlurmMerge(partition="cpu", cpus=2, memory="", time=1800.0)
    assert house.asked(SlurmSettings(partition="x", account="y", qos="z", merge=merge)) == {
        "--nodes=1", "--cpus-per-task=2", "--partition=cpu", "--account=zhang", "--qos=low", "--exclude=n7",
        "--time=30",
    }  # fmt: skip


def test_what_was_asked_for_stays(house: House) -> None:
    """It is laid out again after a crash; what somebody wants of it meanwhile is not lost."""
    lay_out_merge(house.job, SlurmSettings(), house.root)
    intent = Intent.read(house.records.intent)
    intent.model_copy(update={"sent": datetime.now(UTC)}).publish(house.records.intent)
    before = house.records.intent.read_bytes()
    Request(seq=1, stop="glmd cancel").publish(house.records.nodes.request)
    lay_out_merge(house.job, SlurmSettings(partition="other"), house.root)
    assert house.records.intent.read_bytes() == before
    assert Request.read(house.records.nodes.request).stop == "glmd cancel"
