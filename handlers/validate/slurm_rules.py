"""Whether Slurm can give what a file asks for: asked before the file becomes a job that waits for ever.

What Slurm does not say is a warning, and no reason to refuse a file: it is asked for seconds alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from handlers.codes import Code
from handlers.records.checked import Spot
from handlers.slurm.calling import UnclearError
from handlers.slurm.partitions import Partition, partitions
from handlers.slurm.placement import Placement, Site
from handlers.slurm.rehearsed import rehearsed
from handlers.units.durations import format_duration
from handlers.validate.document import Place
from handlers.validate.problem import Problem
from handlers.validate.shared_paths import local_paths
from handlers.validate.slurm_section import KEY, SlurmWish, placed
from handlers.validate.spots import at, spot

ANSWER = 5.0
"""Seconds in which sinfo, and then sbatch, have to answer."""


@dataclass
class SlurmFindings:
    """What Slurm says of a file."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    start: datetime | None = None
    """When such a job would start, in local time; None where that is not known, or at once."""


def check_with_slurm(
    root: Place, wish: SlurmWish | None, devices_per_node: int, site: Site | None, looks: Iterable[object]
) -> SlurmFindings:
    """Say whether a job can ever run as the file wishes it. Nobody is asked where there is no `wish`, or no `site`.

    `looks` are at the paths that the file names.
    """
    found = SlurmFindings()
    if wish is None:
        return found
    found.warnings.extend(local_paths(looks))
    if site is None:
        return found
    placement, places = placed(site, wish, wish.nodes, devices_per_node), _Places(root)
    try:
        _hold(placement, partitions(site.commands.sinfo, ANSWER), places, found)
        if not found.problems:
            _rehearse(site, placement, places, found)
    except UnclearError as error:
        message = "Slurm does not say whether it can give that"
        found.warnings.append(at(places.section, Code.SLURM_NO_ANSWER, message, str(error)))
    return found


class _Places:
    """Where the file says what, or would."""

    def __init__(self, root: Place) -> None:
        self._root = root
        self.section = spot(root.get("glmd", KEY) or root)

    def says(self, key: str) -> bool:
        """Say whether the file has that key, and not the settings alone."""
        return self._root.get("glmd", KEY, key) is not None

    def of(self, key: str) -> Spot:
        """Return where a key of the section is."""
        place = self._root.get("glmd", KEY, key)
        return self.section if place is None else spot(place)


def _hold(placement: Placement, there: Sequence[Partition], places: _Places, found: SlurmFindings) -> None:
    """Hold what is asked for against what the partitions have."""
    names = [name for name in placement.partition.split(",") if name]
    known = ", ".join(one.name for one in there)
    if unknown := [name for name in names if name not in {one.name for one in there}]:
        by = "" if places.says("partition") else ", which the settings name"
        message = f"Slurm has no partition {', '.join(map(repr, unknown))}{by}"
        found.problems.append(at(places.of("partition"), Code.CONFIG_SLURM, message, f"sinfo knows: {known}"))
        return
    asked = [one for one in there if one.name in names] if names else [one for one in there if one.is_default]
    if not asked:
        message = "Slurm has no default partition, and none is named"
        found.problems.append(at(places.section, Code.CONFIG_SLURM, message, f"sinfo knows: {known}"))
    elif all(_too_small(placement, one) for one in asked):
        code, message = Code.CONFIG_SLURM, f"{_too_small(placement, asked[0])}, and {placement.nodes} are asked for"
        found.problems.append(at(places.of("nodes"), code, message, f"sinfo knows: {known}"))
    elif not any(one.is_up for one in asked):
        message = f"partition {asked[0].name} is down"
        found.warnings.append(at(places.of("partition"), Code.CONFIG_SLURM, message, "the job waits until it is up"))
    if asked:
        _hold_time(placement, asked, places, found)


def _too_small(placement: Placement, partition: Partition) -> str:
    """Return how many nodes are to be had at most, where that is not enough; empty where it is."""
    if partition.most_nodes is not None and partition.most_nodes < placement.nodes:
        return f"partition {partition.name} gives a job {_nodes(partition.most_nodes)} at most"
    count = partition.nodes_with(placement.gres, placement.devices_per_node)
    if count >= placement.nodes:
        return ""
    devices = f" with {placement.gres}:{placement.devices_per_node}" if placement.gres else ""
    return f"partition {partition.name} has {_nodes(count)}{devices}"


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def _hold_time(placement: Placement, asked: Sequence[Partition], places: _Places, found: SlurmFindings) -> None:
    limits = [one.limit for one in asked]
    if None in limits:
        return
    longest = max(limit for limit in limits if limit is not None)
    resumed = f"a training of more than {format_duration(longest)} resumes in a new Slurm job from its newest save"
    if placement.time is None:
        message = f"partition {asked[0].name} ends jobs after {format_duration(longest)}"
        found.warnings.append(at(places.section, Code.CONFIG_SLURM, message, resumed))
    elif placement.time > longest:
        message = f"{format_duration(placement.time)} are more than partition {asked[0].name} gives a job"
        problem = at(
            places.of("time"), Code.CONFIG_SLURM, message, f"write `time: {format_duration(longest)}`; {resumed}"
        )
        # A QOS may lift a partition's limits (PartitionTimeLimit of its flags).
        (found.warnings if placement.qos else found.problems).append(problem)


def _rehearse(site: Site, placement: Placement, places: _Places, found: SlurmFindings) -> None:
    outcome = rehearsed(site.commands.sbatch, placement, ANSWER)
    found.start = outcome.start
    if outcome.refused and outcome.may_come:
        hint = f"nodes may be down or drained, and then it waits for them; sbatch --test-only: {outcome.refused}"
        found.warnings.append(at(places.section, Code.CONFIG_SLURM, "Slurm cannot give that now", hint))
    elif outcome.refused:
        hint = f"sbatch --test-only: {outcome.refused}"
        found.problems.append(at(places.section, Code.CONFIG_SLURM, "Slurm would not take this job", hint))
