"""The merge step: a run's shards become one checkpoint, published with its manifest."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.ckpt import CopyOptions, Family, NotFinite, OutputOptions, Plan, merge
from handlers.ckpt.files.durable import make_directory
from handlers.ckpt.planning.trained_on import TrainedOn
from handlers.ckpt.publishing.manifest import Manifest
from handlers.merging.hugging_face import hugging_face
from handlers.merging.save import Save, open_save
from handlers.records.merge_plan import MergePlan

Report = Callable[..., object]
"""Gets an event's name and its fields, as the `info` of a structlog logger does."""
_ACCUMULATED = "accu_grads"
"""The prefix of what MindSpore keeps where it adds up the gradients of micro batches, as with pipeline stages."""


@dataclass(frozen=True)
class Caution:
    """Something that may not have been meant, though it is no error: a log event, and a sentence for people."""

    event: str
    reason: str
    fields: Mapping[str, str | int]


@dataclass(frozen=True)
class MergeSummary:
    """What was merged. All counts are of entries, each name counted once."""

    outputs: tuple[Path, ...]
    """The files, without the manifest."""
    prefix: str
    tag: str
    ranks: int
    stages: int
    """The pipeline stages that the strategy files describe; 1 for a run without any, and without strategy files."""
    cautions: tuple[Caution, ...]
    """What somebody should know of the output."""
    entries_in: int
    entries_kept: int
    dropped: Mapping[str, int]
    """By family."""
    adapters_merged: int
    """How many weights an adapter was added to."""
    unlaid: int
    """How many that were kept no strategy names."""
    agreed: bool
    """Whether all ranks were found to agree on those."""
    not_finite: Mapping[str, NotFinite]
    """What was kept with NaN or infinity in it, as the plan allows: how much, by name."""
    bytes: int
    seconds: float

    @property
    def unlisted(self) -> Mapping[str, int]:
        """How many entries were dropped of each family that no list of optimizers names."""
        return _unlisted(self.dropped)


def run(
    plan: MergePlan,
    progress: Callable[[int, int], None] | None = None,
    report: Report = lambda *_, **__: None,
    trained_on: Callable[[], tuple[TrainedOn, ...]] = tuple,
) -> MergeSummary:
    """Merge what `plan` names; `progress` gets the bytes written so far and in all, `report` the events.

    `trained_on` is asked for what the manifest is to name, once the shards are known to fit: to hash it takes long.

    The output appears first, then its manifest. Done again over the same shards it only finishes what is missing.
    Raises handlers.ckpt.CkptError (exit code 3, but for NoSpaceError), BadInputError for a malformed tag, and OSError.
    """
    started = time.monotonic()
    for_hugging_face = hugging_face(plan)
    save = open_save(plan)
    planned = replace(save.plan, origin=plan.origin, trained_on=trained_on())
    size = sum(parameter.nbytes for parameter in (*planned.parameters, *planned.transformed))
    counts = {"ranks": save.ranks, "stages": save.stages, "entries": len(planned.parameters)}
    report("merge_planned", tag=save.tag, **counts, bytes=size)
    make_directory(plan.destination)
    manifest = merge(
        planned,
        plan.destination,
        OutputOptions(plan.format.files, plan.max_shard_size, plan.allow_not_finite, for_hugging_face),
        prefix=save.prefix,
        tag=save.tag,
        force=plan.force,
        progress=progress,
        copy_options=CopyOptions(hashed=plan.hashed, compared=plan.compared),
    )
    summary = _summary(plan, save, planned, manifest, time.monotonic() - started)
    seconds = round(summary.seconds, 3)
    report("merge_published", tag=save.tag, path=str(plan.destination), bytes=summary.bytes, seconds=seconds)
    return summary


def _summary(plan: MergePlan, save: Save, planned: Plan, manifest: Manifest, seconds: float) -> MergeSummary:
    return MergeSummary(
        outputs=tuple(plan.destination / file.name for file in manifest.files),
        prefix=save.prefix,
        tag=save.tag,
        ranks=save.ranks,
        stages=save.stages,
        cautions=tuple(_cautions(planned, may_be_part=plan.stages is None and _may_be_part(planned))),
        entries_in=planned.entries_in,
        entries_kept=len(planned.parameters),
        dropped=planned.dropped,
        adapters_merged=len(planned.updates),
        unlaid=len(planned.unlaid),
        agreed=plan.compared or planned.strategy is not None,
        not_finite=manifest.not_finite,
        bytes=manifest.size,
        seconds=seconds,
    )


def _unlisted(dropped: Mapping[str, int]) -> Mapping[str, int]:
    return {family: count for family, count in dropped.items() if family not in set(Family)}


def _may_be_part(planned: Plan) -> bool:
    """Tell whether these may be the shards of one pipeline stage, with all others missing: no file would say so."""
    if planned.described_by:  # it says what all ranks saved
        return False
    return planned.stages == 1 and any(state.prefix == _ACCUMULATED for state in planned.families.states.values())


def _cautions(planned: Plan, *, may_be_part: bool) -> Iterator[Caution]:
    for family, entries in _unlisted(planned.dropped).items():
        reason = (
            f"{entries} entries {family}.NAME are left out: beside each is NAME, so they are a copy of the weights, or "
            f"state of an optimizer that glmd does not know. To have them, keep {family!r} too"
        )
        yield Caution("family_dropped", reason, {"family": family, "entries": entries})
    if may_be_part:
        where = planned.strategy.path if planned.strategy is not None else planned.shards[0].path
        reason = (
            f"{where}: glmd saw one pipeline stage, but the shards hold {_ACCUMULATED}.*, which runs with "
            "several stages write. If this run had more, the output is only a part of its model: merge what "
            "all its ranks wrote, or confirm that there is one (--stages 1)"
        )
        yield Caution("stages_may_be_missing", reason, {"stages": planned.stages, "ranks": len(planned.shards)})
