"""What an attempt needs before its ranks can start: checks once more, a rank table, what to begin with, plan.json."""

import os
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from daemon.core.checking import NOTHING, checked_again, read_config
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job
from daemon.serve.jobs.attempts import NothingLeftError, begin, how_it_begins, tree_with_tag
from daemon.serve.jobs.bases import base_of
from daemon.serve.jobs.planning_on_nodes import own_output, planned_on_nodes
from daemon.serve.jobs.uniting import Uniting
from handlers.cards.near_cpus import near_cpus
from handlers.ckpt import Network, OutputFormat
from handlers.ckpt.files.durable import make_directory, move, publish_bytes
from handlers.events import job_log
from handlers.inputs.noting import note
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.table import make, write
from handlers.records.job_dir import JobDir, Step, StepDir
from handlers.records.job_plan import Base, JobPlan, StopOn, TimeLimits
from handlers.records.merge_plan import MergePlan
from handlers.records.nodes_plan import NodesPlan
from handlers.records.train_plan import TrainPlan
from handlers.resume.config import beginning_with
from handlers.resume.continuing import begin_with
from handlers.resume.decision import FIRST, Tries
from handlers.training.binding import UNBOUND, Binding, expanded, named, shared_out
from handlers.training.learned_limits import configuration, earlier_silences, learned
from handlers.training.plan import TrainRequest, plan_training
from handlers.training.ways import Chosen, choose
from handlers.validate.check import CheckedConfig
from handlers.validate.document import parse
from handlers.validate.initial_weights import as_rank_directory, published_name
from handlers.validate.network_config import read_network
from handlers.validate.problem import Findings
from handlers.validate.published_form import can_be_continued


def prepare(
    job: Job, settings: Settings, root: Root, *, own: Mapping[str, Path] = NOTHING, tries: Tries = FIRST
) -> JobPlan:
    """Write the rank table, where it is to have one, the environments and plan.json of `job`, and return the plan.

    An attempt after the first starts from the newest save of those before it, where there is one; `tries` says
    which one in a row it is; to unite its shards may take minutes. Where nothing is left to train, the plan has
    a merge alone. `own` is where that lies which the job's nightly cycle has promoted last, by prefix. Doing it again
    is harmless until the ranks are started. Raises HandlerError or OSError.
    """
    directory = job.directory(root.path)
    checked = checked_again(job, settings, root, own=own, is_resumed=tries.resumes > 0)
    log = job_log(directory.events, job=job.id, attempt=job.attempt)
    chosen = _chosen(checked, settings)
    rank_table = _rank_table(job, settings, directory, log) if chosen.has_table and not checked.nodes else None
    source = save = None
    config = directory.config
    if job.attempt > 1:
        _put_aside_earlier_output(job, directory)
        source = tree_with_tag(job, directory, checked)
        try:
            save = begin(job, directory, checked, tries=tries, written=Uniting(log))
        except NothingLeftError as nothing:
            return _publish(job, directory, merge=plan_merging(checked, directory, source or nothing.tree))
        if how := how_it_begins(job, directory):
            log.warning("save_passed_over", reason=how)
        if save is not None:
            config = directory.resumed_config(job.attempt)
            publish_bytes(config, beginning_with(read_config(directory.config, settings), save, checked.dialect))
            log.info("training_resumes", path=save.weights, resumes=tries.resumes)
    base = None if save is not None else base_of(job, checked, root, own, is_resumed=tries.resumes > 0)
    if save is None:  # else it starts from what its inputs were when it began
        note(checked.section.inputs, directory)
    load = None
    if base is not None and checked.loader.takes_form and published_name(checked.section, checked.prefix):
        begins = begin_with(base.weights, checked.loader, checked.ranks, _initial(directory))
        config = directory.resumed_config(job.attempt)
        make_directory(config.parent)
        publish_bytes(config, beginning_with(read_config(directory.config, settings), begins, checked.dialect))
    elif base is not None:
        load = _as_loaded(base.weights, checked, directory)
    request = TrainRequest(
        job_dir=directory,
        devices=job.devices,
        run_mode=checked.run_mode,
        device_target=checked.device_target,
        python=settings.training.python,
        checkout=settings.training.checkout,
        entry=settings.training.entry,
        way=chosen.way,
        binding=_binding(settings),
        rank_table=rank_table,
        config=config,
        load_checkpoint=load,
        register_path=checked.register_path,
        extra_environment=settings.training.environment,
        configuration=_configuration(checked),
        limits=_limits(checked, root, job.attempt),
        grace=settings.training.grace,
        stop_on=_stop_on(checked, settings),
    )
    train: TrainPlan | NodesPlan
    if checked.nodes:
        on_nodes = replace(request, output=own_output(directory, job.attempt))
        train = planned_on_nodes(on_nodes, checked, settings, job, root)
    else:
        train = _planned(request, directory.step(job.attempt, Step.TRAIN))
    merge = plan_merging(checked, directory, source)
    return _publish(job, directory, merge=merge, train=train, rank_table=rank_table, base=base)


def _planned(request: TrainRequest, records: StepDir) -> TrainPlan:
    """Return the plan of a training, with its environments published."""
    train = plan_training(request)
    make_directory(records.path)
    train.environments.publish(records.environment)
    return train


def _publish(
    job: Job,
    directory: JobDir,
    *,
    merge: MergePlan,
    train: TrainPlan | NodesPlan | None = None,
    rank_table: Path | None = None,
    base: Base | None = None,
) -> JobPlan:
    plan = JobPlan(
        glmd=version("glmd"),
        job=job.id,
        name=job.name,
        devices=job.devices,
        rank_table=rank_table,
        train=train,
        merge=merge,
        base=base,
    )
    plan.publish(directory.plan)
    return plan


def _chosen(checked: CheckedConfig, settings: Settings) -> Chosen:
    """Return how the file's ranks are started, as the file says, or else the settings and its MindFormers."""
    wished = checked.section.with_rank_table
    return choose(
        checked.section.launcher,
        checked.dialect.since,
        checked.device_target,
        with_table=settings.training.with_rank_table if wished is None else wished,
    )


def _binding(settings: Settings) -> Binding:
    """Return on which CPUs ranks run. With `true` each device of this host has its own, whichever of them train now."""
    wish = settings.training.bind_core
    if isinstance(wish, bool):
        if not wish:
            return UNBOUND
        near = {number: expanded(cpus) for number, cpus in near_cpus().items()}
        return shared_out(settings.devices, sorted(os.sched_getaffinity(0)), near)
    return named(wish)


def _rank_table(job: Job, settings: Settings, directory: JobDir, log: FilteringBoundLogger) -> Path:
    table = settings.rank_table
    made, warnings = make(
        job.devices,
        server_ip=table.server_ip,
        ip_source=HccnLookup(tool=table.hccn_tool, conf=table.hccn_conf),
        topology=table.topology,
    )
    for warning in warnings:
        log.warning("rank_table_warning", reason=warning)
    return write(made, directory.path)


def _as_loaded(weights: Path, checked: CheckedConfig, directory: JobDir) -> Path:
    """Return `weights` in the form in which MindFormers takes them."""
    return as_rank_directory(weights, _initial(directory)) if checked.cuts_weights else weights


def _initial(directory: JobDir) -> Path:
    """Return where the weights that a job begins with lie in the form in which MindFormers takes them."""
    return directory.path / "initial"


def _configuration(checked: CheckedConfig) -> str:
    data = parse(checked.config, "config.yaml", len(checked.config)).root.data
    shaping = {str(key): value for key, value in data.items()} if isinstance(data, dict) else {}
    return configuration(shaping, checked.ranks)


def _limits(checked: CheckedConfig, root: Root, attempt: int) -> TimeLimits:
    """Return the file's time limits, a first attempt's lowered to what earlier trainings of its configuration needed.

    A later one has them as they are set: what was learned may have been wrong for this job's data, and ended it.
    """
    timeout = checked.section.timeout
    limits = TimeLimits(**timeout.model_dump())
    if attempt > 1:
        return limits
    return learned(limits, earlier_silences(root.jobs, _configuration(checked)), fixed=timeout.model_fields_set)


def _stop_on(checked: CheckedConfig, settings: Settings) -> StopOn:
    """Return when the training has diverged: as the file says, and as the settings where it says nothing."""
    wished = checked.section.stop_on.model_dump(exclude_unset=True)
    return StopOn(**{**settings.stop_on.model_dump(), **wished})


def plan_merging(checked: CheckedConfig, directory: JobDir, source: Path | None = None) -> MergePlan:
    """Return the merge that a job's file wishes for. The shards are in `source`, by default the job's output."""
    wish, scale = checked.section.merge, checked.lora_scale
    return MergePlan(
        source=source or directory.output,
        needs_strategy=checked.needs_strategy,
        ranks=checked.ranks,
        stages=checked.stages,
        prefix=checked.prefix,
        tag=wish.tag,
        keep=wish.kept,
        lora=wish.lora,
        lora_alpha=scale.alpha if scale else None,
        lora_rank=scale.rank if scale else None,
        layout_from=Path(wish.layout_from) if wish.layout_from else None,
        format=wish.format,
        max_shard_size=wish.max_shard_size,
        hf_base=Path(wish.hf_base) if wish.hf_base else None,
        hf_names=wish.hf_names,
        network=_network(checked) if wish.format is OutputFormat.HUGGINGFACE else None,
        transformed=wish.transformed,
        allow_not_finite=("*",),
        destination=directory.merged,
        can_be_continued=can_be_continued(wish, checked.loader),
    )


def _network(checked: CheckedConfig) -> Network:
    """Return what the file says of the network; the check found it sound."""
    return read_network(parse(checked.config, "config.yaml", len(checked.config)).root, Findings([]))


def _put_aside_earlier_output(job: Job, directory: JobDir) -> None:
    """Keep what an earlier attempt wrote out of this one's sight: MindFormers would bump the prefix of its shards."""
    if directory.output_link.exists() and not directory.output_link.is_symlink():
        aside = directory.earlier_output(job.attempt - 1)
        if not aside.exists():
            make_directory(aside.parent)
            move(directory.output, aside)
