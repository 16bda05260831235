"""The ways of a job through glmd that are crashed: how each begins, what its user does, and what it has come to."""

import hashlib
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from daemon.client import submission
from daemon.core.promotions import Kind
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.face.audit import check_state
from handlers.gate.verdict import Verdict
from handlers.merging import merge
from handlers.records.merge_plan import MergePlan
from handlers.retention import trash
from handlers.retention.part import Part
from handlers.shim import service_result
from tests import past_jobs
from tests.crash.slurm import SECTION, SETTINGS, Slurm
from tests.crash.stage import PATIENCE, SHARD, SHARED, Stage
from tests.unit.handlers.ckpt.ckpt_writer import record
from tests.unit.handlers.ckpt.redundancy import encode


def shard(seed: int = 0) -> bytes:
    """Return a small checkpoint with optimizer state, the same for every rank of a data parallel run."""
    weight = struct.pack("<8f", *range(seed, seed + 8))
    return b"".join(
        record(name, dims, kind, content)
        for name, dims, kind, content in (
            ("transformer.embedding_table", (4, 2), "Float32", weight),
            ("lm_head.weight", (2, 4), "Float32", weight[::-1]),
            ("adam_m.lm_head.weight", (2, 4), "Float32", bytes(32)),
            ("global_step", (1,), "Int32", struct.pack("<i", 124)),
            ("epoch_num", (1,), "Int32", struct.pack("<i", 31)),
        )
    )


def _nothing(_: Stage) -> None:
    pass


@dataclass(frozen=True)
class Scenario:
    """`prepare` is called once, before anything runs; `drive` again and again, until it says that all is over."""

    name: str
    drive: Callable[[Stage], bool]
    prepare: Callable[[Stage], None] = _nothing
    roles: frozenset[str] | None = None
    """Which processes are killed; None for all."""
    loses_pages: bool = True
    """Whether power cuts are tried."""
    each_once: bool = False
    """Whether processes are killed once before each call in the sources that changes a name or the store."""

    def set_up(self, stage: Stage) -> None:
        """Make the stage ready."""
        stage.furnish(shard())
        self.prepare(stage)
        stage.write_settings()

    def play(self, stage: Stage) -> Iterator[None]:
        """Go on until all is over and nothing runs any more; after a crash, start the daemon once more at the end."""
        left = 1 + bool(stage.kills)
        while left:
            while not (self.drive(stage) and stage.is_quiet):
                stage.tick()
                if stage.took > PATIENCE:
                    jobs = "; ".join(f"{job.label} {job.state}: {job.reason}" for job in stage.jobs())
                    raise AssertionError(f"it does not come to an end: {jobs}\n{stage.tail()}")
                yield
            left -= stage.stop()


def outcome(stage: Stage) -> dict[str, object]:
    """Return what a scenario has come to, so that one run can be compared with another."""

    def files(directory: Path) -> dict[str, str]:
        """Return a directory's files with their hashes; a manifest, which holds times, is only there or not."""
        if not directory.exists():
            return {}
        return {path.name: _digest(path, stage) for path in sorted(directory.iterdir())}

    jobs = [
        (job.name, str(job.state), files(job.directory(stage.root).merged), _judged(job, stage))
        for job in sorted(stage.jobs(), key=lambda job: (job.name, job.state))
    ]
    latest = {link.name: files(link) for link in (stage.root / "latest").glob("*")}
    return {"jobs": jobs, "latest": latest} | {name: files(stage.root / name) for name in ("rejected", "merged")}


def _judged(job: Job, stage: Stage) -> object:
    """Return what the gate found, without what differs from one run to another."""
    path = job.directory(stage.root).verdict
    return [(rule.name, rule.passed) for rule in Verdict.read(path).rules] if path.exists() else None


def _digest(path: Path, stage: Stage) -> str:
    if path.name == "manifest.json" or not path.is_file():
        return ""
    content = path.read_bytes().replace(str(stage.path).encode(), b"STAGE")
    return hashlib.sha256(content).hexdigest()


def disagreements(stage: Stage) -> list[str]:
    """Return what is wrong with the root, by glmd's own check."""
    return list(map(str, check_state(Root(stage.root)))) if stage.has_daemon else []


# What users do


def _retry_failed(stage: Stage, jobs: tuple[Job, ...]) -> None:
    """Do what a failed job's reason asks for; a crash may end an attempt, never without a word."""
    for job in jobs:
        if job.state is State.FAILED:
            if not job.reason:
                stage.faults.append(f"{job.label} failed without a reason")
            stage.ask("retry", job.id)


def _is_over(stage: Stage, *states: State) -> bool:
    """Say whether the jobs are in these states, in order of their names, and nothing is on its way."""
    if any((stage.root / "inbox").glob("[!.]*")) or any((stage.root / "claims").glob("*")):
        return False
    jobs = sorted(stage.jobs(), key=lambda job: job.name)
    return tuple(job.state for job in jobs) == states and stage.ask("ping") is not None


def _one_job(stage: Stage) -> bool:
    _retry_failed(stage, stage.jobs())
    return _is_over(stage, State.DONE)


def _drop(stage: Stage) -> None:
    stage.drop()


def _drop_bad(stage: Stage) -> None:
    stage.drop("bad.yaml", "run_mode: [finetune\n")
    (stage.root / "rejected").mkdir()
    (stage.root / "rejected" / "bad.yaml").write_text("an earlier one")
    (stage.root / "rejected" / "bad.yaml.reason.txt").write_text("why")
    os.mkfifo(stage.root / "inbox" / "fifo.yaml")


def _rejections(stage: Stage) -> bool:
    return _is_over(stage, State.REJECTED, State.REJECTED)


def _drop_and_hold(stage: Stage) -> None:
    (stage.data / "hold").touch()
    stage.drop()


def _drop_for_bad_nodes(stage: Stage) -> None:
    _drop_for_nodes(stage, has_losses=True)


def _drop_for_nodes(stage: Stage, *, has_losses: bool = False) -> None:
    """Let Slurm's node train; a second request for an attempt must not."""
    stage.slurm = Slurm(stage.path / "slurm", has_losses=has_losses)
    stage.settings["slurm"] = SETTINGS
    stage.drop(text=stage.config().replace('  devices: "[0,2)"\n', SECTION))


def _one_job_on_nodes(stage: Stage) -> bool:
    path = stage.data / "begun"
    begun = path.read_text().splitlines() if path.exists() else []
    assert len(begun) == len(set(begun)), f"a rank of an attempt was begun twice: {begun}"
    return _one_job(stage)


def _twin(stage: Stage) -> bool:
    jobs = stage.jobs()
    if len(jobs) == 1 and jobs[0].state is State.TRAINING and not (stage.data / "twin").exists():
        (stage.data / "twin").touch()
        stage.drop("twin.yaml")
    if len(jobs) == 2:
        (stage.data / "hold").unlink(missing_ok=True)
    return _is_over(stage, State.DONE, State.REJECTED)


def _drop_two(stage: Stage) -> None:
    (stage.data / "hold").touch()
    stage.drop("first.yaml")
    stage.drop("second.yaml", stage.config(more="# on the same devices\n"))


def _cancel(stage: Stage) -> bool:
    """Cancel one job that trains, and one that waits for its devices."""
    jobs = stage.jobs()
    _retry_failed(stage, jobs)
    training = [job for job in jobs if job.state is State.TRAINING]
    for job in jobs if len(jobs) == 2 and (training or any(job.state.is_over for job in jobs)) else ():
        if not job.cancel and job.state in {State.TRAINING, State.QUEUED}:
            stage.ask("cancel", job.id)
    return _is_over(stage, State.CANCELLED, State.CANCELLED)


def _drop_failing(stage: Stage) -> None:
    (stage.data / "fail").touch()
    stage.drop()


def _retry(stage: Stage) -> bool:
    if any(job.state is State.FAILED for job in stage.jobs()):
        (stage.data / "fail").unlink(missing_ok=True)
    return _one_job(stage)


def _drop_failing_halfway(stage: Stage) -> None:
    (stage.data / "fail_halfway").touch()
    stage.drop()


def _drop_failing_halfway_shared_out(stage: Stage) -> None:
    """Let each rank save a part of what both hold, which glmd unites before it resumes."""
    weight = np.arange(8, dtype="float32").reshape(4, 2)
    weights = [{"lm_head.weight": weight}, {"word_embeddings": weight, "adam_m.lm_head.weight": weight}]
    for rank, tensors in enumerate(weights):
        content = encode(tensors | {"epoch_num": np.array([31], "int32")}, lacks=True)
        (stage.data / SHARED.format(rank=rank)).write_bytes(content)
    _drop_failing_halfway(stage)


def _drop_without_shim(stage: Stage) -> None:
    stage.no_shim = 1
    stage.drop()


def _due_long_ago(stage: Stage) -> None:
    template = stage.data / "nightly.yaml"
    template.write_text(stage.config(more=f"  inputs: [{stage.data}/train.json]\n"))
    cycle = {
        "name": "glm",
        "cron": "0 0 1 1 *",
        "timezone": "UTC",
        "template": str(template),
        "continue_from": "latest",
    }
    stage.settings["nightly"] = [cycle]
    with Store.open(stage.root / "glmd.db") as store:
        store.set_last_due("glm", datetime(2025, 6, 1, tzinfo=UTC))


def _watch_tree(stage: Stage) -> None:
    tree = stage.data / "foreign"
    for rank in (0, 1):
        path = tree / "checkpoint" / f"rank_{rank}" / SHARD.format(rank=rank, tag="31_4")
        path.parent.mkdir(parents=True)
        path.write_bytes(shard())
        path.chmod(0o400)
    stage.settings["watch"] = [{"path": str(tree), "needs_strategy": False, "ranks": 2, "quiet": "0s"}]


def _drop_that_goes_on(stage: Stage) -> None:
    """Drop a training that goes on from a whole checkpoint, which is laid out for its ranks to cut."""
    text = stage.config(more=f'  continue_from: "{stage.data}/base.ckpt"\n')
    stage.drop(text=f"auto_trans_ckpt: True\n{text}")


def _tree_to_be_evaluated(stage: Stage) -> None:
    """Let a program measure the output, on a device; no rank trains, as all other scenarios have that."""
    measure = ["sh", "-c", 'echo "{\\"bleu\\": 0.5}"']
    stage.settings["evaluations"] = {"bleu": {"command": measure, "devices": "[0,1)"}}
    stage.settings["gate"] = {"evaluate": "bleu", "metrics": {"bleu": {"min": 0.4}}}
    _watch_tree(stage)


def _drop_that_hangs(stage: Stage) -> None:
    (stage.data / "hold").touch()
    stage.drop(text=stage.config(more="  timeout: {first_step: 1s}\n"))


def _hung(stage: Stage) -> bool:
    if any(job.attempt > 1 or job.state.is_over for job in stage.jobs()):
        (stage.data / "hold").unlink(missing_ok=True)
    return _one_job(stage)


def _submit(stage: Stage) -> bool:
    there = [*(stage.root / "inbox").glob("[!.]*"), *(stage.root / "claims").glob("*/*"), *stage.jobs()]
    if not there and stage.is_quiet:
        content = stage.config().encode()
        stage.run_shim("submit", lambda: bool(submission.drop(content, "run.yaml", Root(stage.root)).digest) - 1)
    return _one_job(stage)


def _record_of_systemd(stage: Stage) -> bool:
    over = _one_job(stage)
    if over and stage.is_quiet:
        record = stage.jobs()[0].directory(stage.root).path / "attempts" / "1" / "train" / "service_result.json"
        if record.exists():
            return True
        arguments = ["--root", str(stage.root), "--instance", "0001-1-train"]
        stage.run_shim("service_result", lambda: service_result.main(arguments))
    return False


def _older_output(stage: Stage) -> None:
    """Leave an output of older shards, and in two files, which is to be replaced."""
    stage.has_daemon = False
    _watch_tree(stage)
    tree = stage.data / "foreign"
    newer = stage.data / "newer"
    shutil.copytree(tree, newer)
    merged = stage.root / "merged"
    merged.mkdir()
    merge.run(MergePlan(source=tree, destination=merged, ranks=2, needs_strategy=False, transformed=True))
    for path in newer.glob("checkpoint/*/*"):
        path.chmod(0o600)
        path.write_bytes(shard(7))


def _replace(stage: Stage) -> bool:
    merged, marker = stage.root / "merged", stage.data / "replaced"
    plan = MergePlan(source=stage.data / "newer", destination=merged, ranks=2, needs_strategy=False, force=True)

    def replace() -> int:
        merge.run(plan)
        marker.touch()
        return 0

    if stage.is_quiet and not marker.exists():
        stage.run_shim("merge", replace)
    return marker.exists()


def _drop_first(stage: Stage) -> None:
    stage.drop("first.yaml")


def _roll_back_and_promote(stage: Stage) -> bool:
    """Let a second job take latest, go back to the first, and promote the second again; each once."""
    jobs, marker = stage.jobs(), stage.data / "second"
    _retry_failed(stage, jobs)
    if _is_over(stage, State.DONE) and not marker.exists():
        marker.touch()
        stage.drop("second.yaml", stage.config(more="# newer\n"))
    if not _is_over(stage, State.DONE, State.DONE):
        return False
    asked = [kind for kind, by in stage.promotions() if by]
    if not asked:
        stage.ask("rollback", prefix="glm-6b")
    elif asked == [Kind.ROLLBACK]:
        stage.ask("promote", max(job.id for job in jobs))
    return asked == [Kind.ROLLBACK, Kind.PROMOTION]


PRUNED = ((1, Part.SHARDS), (1, Part.MERGED), (2, Part.RECORDS))
"""What goes of a job that was promoted before another one, and of one of which nothing else is there."""


def _jobs_that_are_over(stage: Stage) -> None:
    """Let two jobs have been promoted, and one have been cancelled between them, in whose output a link lies."""
    stage.clock = past_jobs.later
    keep = {"last": 1, "daily": 0, "weekly": 0, "monthly": 0, "best": 0, "rollback": 0}
    stage.settings["retention"] = {"keep": keep, "prefixes": {"other": {"records": "1h"}}}
    root = Root(stage.root)
    root.create()
    with Store.open(root.store) as store:
        past_jobs.add_done(root, store, {"31_4": shard()})
        output = past_jobs.add_cancelled(root, store, prefix="other").directory(root.path).output
        output.mkdir()
        (output / "code").symlink_to(stage.data / "checkout")
        past_jobs.add_done(root, store, {"31_4": shard(7)})


def _prune(stage: Stage) -> bool:
    """Ask until all is noted that is to go; meanwhile nothing that is half there may be taken for an output."""
    root, begun = Root(stage.root), stage.prunings()
    assert not (half := past_jobs.half_outputs(root)), f"it is there, and is no whole output: {half}"
    assert (stage.data / "checkout" / "run_mindformer.py").exists(), "a link was followed"
    assert len(begun) <= len(PRUNED), f"more was noted: {begun}"
    if any(one.ended is None for one in begun):
        return False
    if len(begun) < len(PRUNED):
        stage.ask("prune")
        return False
    left = [root.jobs / trash.NAME, *root.jobs.glob("0002-*"), *root.jobs.glob("0001-*/output/checkpoint/*/*.ckpt")]
    assert not any(path.exists() for path in left), f"it is said to be gone: {left}"
    assert len([*root.jobs.glob("0003-*/output/checkpoint/*/*.ckpt")]) == 2
    return {(one.job, one.part) for one in begun} == set(PRUNED) and stage.ask("ping") is not None


SCENARIOS = (
    Scenario("run", _one_job, _drop),
    Scenario("rejected", _rejections, _drop_bad),
    Scenario("twin", _twin, _drop_and_hold, roles=frozenset({"daemon"}), loses_pages=False),
    Scenario("shim not started", _one_job, _drop_without_shim),
    Scenario("cancelled", _cancel, _drop_two),
    Scenario("retried", _retry, _drop_failing),
    Scenario("resumed", _one_job, _drop_failing_halfway),
    Scenario("united", _one_job, _drop_failing_halfway_shared_out),
    Scenario("hung", _hung, _drop_that_hangs),
    Scenario("watched tree", _one_job, _watch_tree),
    Scenario("evaluated", _one_job, _tree_to_be_evaluated),
    Scenario("on nodes", _one_job_on_nodes, _drop_for_nodes, loses_pages=False, each_once=True),
    Scenario("lost on nodes", _one_job_on_nodes, _drop_for_bad_nodes, loses_pages=False, each_once=True),
    Scenario("goes on", _one_job, _drop_that_goes_on),
    Scenario("nightly", _one_job, _due_long_ago),
    Scenario("promoted", _roll_back_and_promote, _drop_first),
    Scenario("pruned", _prune, _jobs_that_are_over),
    Scenario("submitted", _submit, roles=frozenset({"submit"}), loses_pages=False),
    Scenario("systemd's record", _record_of_systemd, _drop, roles=frozenset({"service_result"}), loses_pages=False),
    Scenario("replaced", _replace, _older_output),
)
