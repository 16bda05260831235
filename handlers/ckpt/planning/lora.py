"""LoRA adapters in a plan: which weight each belongs to, and what becomes of them in the output.

Beside a layer's `weight` of shape (out, in), MindPet's LoRADense has `mindpet_delta_lora_a` of shape (rank, in) and
`mindpet_delta_lora_b` of shape (out, rank), called `tk_delta_lora_…` before MindPet had its name. The parallel layers
of MindFormers 1.3 to 1.5 (experimental, PyNative) call them `lora_a` and `lora_b`, those from 1.6 on (ColumnParallel-
and RowParallelLinearWithLoRA) `lora_A.weight` and `lora_B.weight`, of the same shapes. All compute with
weight + alpha / rank · B·A.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import CkptFile
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.planning.lora_fate import Lora
from handlers.ckpt.planning.plan import LoraPair, Parameter, Plan

__all__ = ["TYPES", "Lora", "LoraScale", "with_adapters"]

TYPES = ("Float16", "BFloat16", "Float32")
"""What weights and adapters may be of."""

_ADAPTER = re.compile(r"(?P<layer>.+\.)(?:(?:mindpet|tk)_delta_)?lora_(?P<half>[abAB])(?:\.weight)?")

_SWAPPED = str.maketrans("abAB", "baBA")


@dataclass(frozen=True, slots=True)
class LoraScale:
    """lora_alpha and lora_rank of a training: how strongly its adapters count."""

    alpha: float
    rank: int

    @property
    def scaling(self) -> float:
        """What B·A is multiplied by."""
        return self.alpha / self.rank


def with_adapters(plan: Plan, lora: Lora, scale: LoraScale | None = None) -> Plan:
    """Return `plan` with its adapters treated as `lora` says. MERGE needs `scale`; ONLY holds the rank against it.

    State of adapters that are merged leaves with them. Raises InconsistentError where there are no adapters,
    where one lacks its other half or its weight, and where shapes, types and rank do not fit each other.
    """
    if lora is Lora.KEEP:
        return plan
    pairs = _pairs(plan, scale)
    adapters = {half.name for pair in pairs.values() for half in (pair.a, pair.b)}
    if lora is Lora.ONLY:
        kept = tuple(parameter for parameter in plan.parameters if parameter.name in adapters)
        return _reduced(plan, kept, merged=())
    if scale is None:
        raise ValueError("adapters cannot be merged without alpha and rank")
    for weight, pair in pairs.items():
        _check_weight(plan, weight, pair)
    kept = tuple(
        replace(parameter, update=pairs.get(parameter.name))
        for parameter in plan.parameters
        if plan.families.parameter(parameter.name) not in adapters
    )
    return _reduced(plan, kept, merged=adapters)


def _pairs(plan: Plan, scale: LoraScale | None) -> Mapping[str, LoraPair]:
    """Return the adapters by the names of their weights."""
    halves: dict[str, dict[str, Parameter]] = {}
    for parameter in plan.parameters:
        match = _ADAPTER.fullmatch(parameter.name)
        if match is None or parameter.name in plan.families.states:
            continue
        found = halves.setdefault(f"{match['layer']}weight", {})
        half = match["half"].lower()
        if half in found:
            raise InconsistentError(
                f"{_where(plan, parameter)}: {found[half].name} is an adapter of the same weight: only one can "
                "be merged into it, and no file says which one the training used"
                "",
                Code.ADAPTERS_UNFIT,
            )
        found[half] = parameter
    if not halves:
        shard = next(iter(plan.shards.values()))
        raise InconsistentError(
            f"{shard.path}: its kept entries have no LoRA adapter (…mindpet_delta_lora_a and _b): was this a "
            "LoRA run? `lora: keep`, the default, merges without adapters",
            Code.NO_ADAPTERS,
        )
    return {weight: _pair(plan, found, scale) for weight, found in halves.items()}


def _pair(plan: Plan, found: Mapping[str, Parameter], scale: LoraScale | None) -> LoraPair:
    """Check the halves of an adapter against each other and the rank."""
    for half, other in (("a", "b"), ("b", "a")):
        if other not in found:
            raise InconsistentError(
                f"{_where(plan, found[half])}: its other half, {_other_half(found[half].name)}, is missing: is the "
                "file cut off between two records?",
                Code.ADAPTERS_UNFIT,
            )
    a, b = found["a"], found["b"]
    for one in (a, b):
        if one.type not in TYPES or len(one.dims) != 2:
            raise InconsistentError(
                f"{_where(plan, one)}: {_form(one)} is no half of an adapter, "
                f"which is a matrix of {' or '.join(TYPES)}",
                Code.ADAPTERS_UNFIT,
            )
    if a.dims[0] != b.dims[1]:
        raise InconsistentError(
            f"{_where(plan, a)}: {_form(a)} does not fit {b.name} {_form(b)}: (rank, in) and (out, rank) were expected",
            Code.ADAPTERS_UNFIT,
        )
    if scale is not None and a.dims[0] != scale.rank:
        raise InconsistentError(
            f"{_where(plan, a)}: {_form(a)} is of rank {a.dims[0]}, but lora_rank is {scale.rank}: is it the "
            "configuration of another run? lora_alpha would be wrong too",
            Code.ADAPTERS_UNFIT,
        )
    return LoraPair(a, b, scale.scaling if scale is not None else 1.0)


def _other_half(name: str) -> str:
    """Return what the other matrix of an adapter is called."""
    layer, _, half = name.rpartition("lora_")
    return f"{layer}lora_{half[0].translate(_SWAPPED)}{half[1:]}"


def _check_weight(plan: Plan, name: str, pair: LoraPair) -> None:
    weight = next((parameter for parameter in plan.parameters if parameter.name == name), None)
    if weight is None:
        raise InconsistentError(
            f"{_where(plan, pair.a)}: the weight that it belongs to, {name}, is not there: is the file cut off? "
            "`lora: only` takes the adapters alone",
            Code.ADAPTERS_UNFIT,
        )
    if weight.type not in TYPES:
        raise InconsistentError(
            f"{_where(plan, weight)}: no adapter can be added to {weight.type}", Code.ADAPTERS_UNFIT
        )
    if weight.dims != (pair.b.dims[0], pair.a.dims[1]):
        hint = "transposed weights are not merged"
        if not weight.laid and plan.strategy is not None:
            hint = "no strategy names it: give the layout of a full run of the same network (--layout-from)"
        raise InconsistentError(
            f"{_where(plan, weight)}: {_form(weight)} does not fit its adapter, {pair.b.name} {_form(pair.b)} and "
            f"{pair.a.name} {_form(pair.a)}; {hint}",
            Code.ADAPTERS_UNFIT,
        )


def _reduced(plan: Plan, kept: tuple[Parameter, ...], *, merged: Collection[str]) -> Plan:
    """Return `plan` with `kept` alone; what leaves is left behind, but for what is `merged`."""
    names = {parameter.name for parameter in kept} | set(merged)
    left = tuple(parameter.name for parameter in plan.parameters if parameter.name not in names)
    return replace(plan, parameters=kept, left=plan.left + left)


def _shard(plan: Plan, parameter: Parameter) -> CkptFile:
    """Return a shard that holds `parameter`; with pipeline stages not every one does."""
    return next(shard for shard in plan.shards.values() if parameter.name in shard.entries)


def _where(plan: Plan, parameter: Parameter) -> str:
    return f"{_shard(plan, parameter).path}: {parameter.name}"


def _form(parameter: Parameter) -> str:
    return f"{parameter.type}{list(parameter.dims)}"
