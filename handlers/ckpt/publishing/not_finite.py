"""Whether an output may hold NaN and infinity: only where the caller says so, by patterns of names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from handlers.ckpt.copying.finite import NAMED, Tally, named
from handlers.ckpt.copying.sources import Sources
from handlers.ckpt.entry import NotFinite
from handlers.ckpt.errors import NotFiniteError
from handlers.ckpt.planning.assembled import Written, made_of
from handlers.ckpt.planning.coverage import ranks_text
from handlers.ckpt.planning.output import Output
from handlers.ckpt.planning.plan import Parameter, Plan
from handlers.ckpt.publishing.manifest import Manifest

PORTION = 1 << 20
"""Bytes read at once."""


def refuse_not_finite(
    manifest: Manifest,
    allowed: Sequence[str],
    destination: Path,
    output: Output,
    plan: Plan,
    sources: Sources | None = None,
) -> None:
    """Raise NotFiniteError where `manifest` keeps what no pattern allows; with `sources` it says whose slices have it.

    Without them the output is there already, with the permission of an earlier caller.
    """
    found = {
        name: count
        for name, count in manifest.not_finite.items()
        if not any(fnmatchcase(name, pattern) for pattern in allowed)
    }
    if not found:
        return
    where = {}
    if sources is not None:
        placed = (placement.parameter for file in output.files for placement in file.placed)
        parameters = {parameter.name: parameter for parameter in placed if parameter.name in [*found][:NAMED]}
        ranks = {name: _ranks(written, sources) for name, written in parameters.items()}
        where = {name: _holders_text(found, plan) for name, found in ranks.items() if found}
    outcome = (
        "nothing was written" if sources is not None else "it is there already, since an earlier merge was allowed to"
    )
    raise NotFiniteError(
        f"{destination}: {named(found, where)}; {outcome}. Did the training diverge? Merge an earlier tag, or allow it "
        "(--allow-not-finite, for all or for names that match a pattern)",
        found,
    )


def _holders_text(ranks: Sequence[int], plan: Plan) -> str:
    """Return ranks in words, or, where the shards are no ranks', their names."""
    return ", ".join(plan.shards[rank].path.name for rank in ranks) if plan.described_by else ranks_text(ranks)


def _ranks(written: Written, sources: Sources) -> list[int]:
    """Return the ranks with slices of a parameter, or of its adapter, that hold NaN or infinity; replicas are equal.

    Of one that is put together from rows, those of all of each parameter that has them.
    """
    parameters = made_of(written)
    pairs = [parameter.update for parameter in parameters if parameter.update is not None]
    ranks = set[int]()
    for parameter in (*parameters, *(half for pair in pairs for half in (pair.a, pair.b))):
        for holders in parameter.tiling.holders.values():
            if _count(parameter, holders[0], sources):
                ranks.update(holders)
    return sorted(ranks)


def _count(parameter: Parameter, rank: int, sources: Sources) -> NotFinite:
    tally = Tally(parameter.type)
    for portion in sources.portions(parameter.name, rank, PORTION):
        tally.look(portion)
    return tally.found
