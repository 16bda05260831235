"""What a queued job needs before its ranks can start: checks once more, a rank table, and plan.json."""

from pathlib import Path

from daemon.root import Root
from daemon.settings import Settings
from daemon.states import Job
from handlers.ckpt.durable import move
from handlers.events import job_log
from handlers.job_dir import JobDir
from handlers.job_plan import JobPlan, TimeLimits
from handlers.merge_plan import MergePlan
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.table import make, write
from handlers.train import TrainRequest, plan_training
from handlers.validate.check import CheckedConfig, Rules, check
from handlers.validate.initial_weights import as_rank_directory, weights_to_load


def rules(settings: Settings, root: Root) -> Rules:
    """Return what a dropped file is held against."""
    return Rules(
        devices=settings.devices,
        topology=settings.rank_table.topology,
        max_bytes=settings.inbox.max_bytes,
        disk=root.jobs,
        latest=root.latest,
    )


def prepare(job: Job, settings: Settings, root: Root) -> JobPlan:
    """Write the rank table and plan.json of `job` and return the plan.

    Doing it again is harmless until the ranks are started. Raises HandlerError or OSError.
    """
    directory = job.directory(root.path)
    checked = check(directory.submitted.read_bytes(), f"{job.name}.yaml", rules(settings, root))
    _put_aside_earlier_output(job, directory)
    table = settings.rank_table
    log = job_log(directory.events, job=job.id, attempt=job.attempt)
    made, warnings = make(
        job.devices,
        server_ip=table.server_ip,
        ip_source=HccnLookup(tool=table.hccn_tool, conf=table.hccn_conf),
        topology=table.topology,
    )
    for warning in warnings:
        log.warning("rank_table_warning", reason=warning)
    rank_table = write(made, directory.path)
    weights = weights_to_load(checked.section, checked.prefix, root.latest)
    if weights and checked.cuts_weights:
        weights = as_rank_directory(weights, directory.path / "initial")
    plan = JobPlan(
        job=job.id,
        name=job.name,
        devices=job.devices,
        rank_table=rank_table,
        train=plan_training(
            TrainRequest(
                job_dir=directory,
                devices=job.devices,
                run_mode=checked.run_mode,
                device_target=checked.device_target,
                python=settings.training.python,
                checkout=settings.training.checkout,
                rank_table=rank_table,
                load_checkpoint=weights,
                extra_environment=settings.training.environment,
                limits=TimeLimits.model_validate(checked.section.timeout.model_dump()),
                grace=settings.training.grace,
            )
        ),
        merge=plan_merging(checked, directory, root),
    )
    plan.publish(directory.plan)
    return plan


def plan_merging(checked: CheckedConfig, directory: JobDir, root: Root) -> MergePlan:
    """Return the merge that a job's file wishes for; `latest` stays where it is if no training could start from it."""
    wish, scale = checked.section.merge, checked.lora_scale
    return MergePlan(
        source=directory.output,
        needs_strategy=checked.needs_strategy,
        ranks=checked.ranks,
        prefix=checked.prefix,
        tag=wish.tag,
        keep=wish.keep,
        lora=wish.lora,
        lora_alpha=scale.alpha if scale else None,
        lora_rank=scale.rank if scale else None,
        layout_from=Path(wish.layout_from) if wish.layout_from else None,
        format=wish.format,
        max_shard_size=wish.max_shard_size,
        transformed=wish.transformed,
        destination=directory.merged,
        latest=root.latest / checked.prefix if wish.can_be_continued else None,
    )


def _put_aside_earlier_output(job: Job, directory: JobDir) -> None:
    """Keep what an earlier attempt wrote out of this one's sight: MindFormers would bump the prefix of its shards."""
    if job.attempt > 1 and directory.output.exists():
        aside = directory.path / "attempts" / str(job.attempt - 1) / "output"
        if not aside.exists():
            move(directory.output, aside)
