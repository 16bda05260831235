"""A GLM under the names that Hugging Face's models have for it.

MindFormers' ChatGLM2 is GLM-2, GLM-3 and GLM-4-9B. This undoes its import (models/glm2/convert_weight.py in MindFormers
1.9), which changes no numbers and transposes nothing, but with `qkv_concat: False` and `mlp_concat: False` it cuts
matrices by rows, and with `use_rearrange_rope: True` it puts the even rows of each head of q and k before the odd ones.
Its convert_reversed.py puts rows back whether they were moved or not, so that its export is wrong without that option.

Where queries end is not guessed: `dense`, which takes the heads' output, has as many columns as q has rows, and k and v
share the rest.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import InconsistentError, UnsupportedLayoutError
from handlers.ckpt.planning.assembled import Assembled, Rows
from handlers.ckpt.planning.hf_base import BaseModel
from handlers.ckpt.planning.network import (
    Names,
    Network,
    Sizes,
    check_agreement,
    check_sizes,
    head_size,
    is_rearranged,
)
from handlers.ckpt.planning.plan import Parameter, Plan

_LAYER = re.compile(r"transformer\.encoder\.layers\.(0|[1-9][0-9]{0,4})\..+", re.ASCII)
_GLM_6B = re.compile(r"transformer\.(word_embeddings\.|layers\.[0-9]+\.)")
_ADAPTER = re.compile(r"lora_[abAB]|_delta_")

_EMBEDDING = "transformer.embedding.embedding_weight"
_OUTPUT = "transformer.output_layer.weight"
_OUTER = {
    _EMBEDDING: ("transformer.embedding.word_embeddings.weight", "model.embed_tokens.weight"),
    "transformer.encoder.final_layernorm.weight": ("transformer.encoder.final_layernorm.weight", "model.norm.weight"),
    _OUTPUT: (_OUTPUT, "lm_head.weight"),
}
"""The names of CHATGLM and of GLM, as below."""
_DENSE, _DOWN = "self_attention.dense.weight", "mlp.dense_4h_to_h.weight"
_INNER = {
    "input_layernorm.weight": ("input_layernorm.weight", "input_layernorm.weight"),
    "post_attention_layernorm.weight": ("post_attention_layernorm.weight", "post_attention_layernorm.weight"),
    _DENSE: (_DENSE, "self_attn.o_proj.weight"),
    _DOWN: (_DOWN, "mlp.down_proj.weight"),
}
_QKV, _GATE_UP = "self_attention.query_key_value", "mlp.dense_h_to_4h"
_Q, _K, _V = (f"self_attention.w{part}" for part in "qkv")
_GATE, _UP = "mlp.dense_left", "mlp.dense_right"
_TAKEN_APART = {_QKV: (_Q, _K, _V), _GATE_UP: (_GATE, _UP)}


@dataclass(frozen=True)
class HuggingFace:
    """What an output for Hugging Face's libraries is to be."""

    names: Names = Names.GLM
    networks: tuple[Network, ...] = ()
    """What is known of the network: it must be what the weights are."""
    base: BaseModel | None = None
    """The model whose configuration and tokenizer it gets."""


class _UnfitError(ValueError):
    """A weight, by its name in the shards, is not what Hugging Face's model has; the text says how."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name


@dataclass
class _Parameters:
    """The plan's parameters, each to be taken once."""

    all: Mapping[str, Parameter]
    left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.left = set(self.all)

    def take(self, name: str) -> Parameter:
        """Return the parameter `name`. Raises _UnfitError where it is missing."""
        if name not in self.all:
            raise _UnfitError(
                name,
                "it is missing, and Hugging Face's model has it: are these all weights of a GLM-2, GLM-3 or GLM-4-9B?",
            )
        self.left.discard(name)
        return self.all[name]

    def rows(self, name: str) -> int:
        """Return how many rows `name` has, or the parts that it was cut into."""
        return sum(self.all[part].tiling.dims[0] for part in self.parts(name))

    def parts(self, name: str) -> tuple[str, ...]:
        """Return `name`, or, where it is not there, the names of what it was cut into."""
        if name in self.all:
            return (name,)
        stem, dot, kind = name.rpartition(".")
        whole = next(suffix for suffix in _TAKEN_APART if stem.endswith(suffix))
        parts = tuple(f"{stem.removesuffix(whole)}{part}{dot}{kind}" for part in _TAKEN_APART[whole])
        if parts[0] not in self.all:
            self.take(name)
        for part in parts:
            self.take(part)
        return parts


def rename(plan: Plan, wanted: HuggingFace) -> tuple[Assembled, ...]:
    """Return what is to be written of the plan's parameters, a GLM's weights by MindFormers' names.

    Raises UnsupportedLayoutError for a GLM-6B, and InconsistentError where something has no counterpart or is missing,
    where shapes do not fit each other, or the weights are not what `wanted` says of them.
    """
    given = _Parameters({parameter.name: parameter for parameter in plan.parameters})
    for name in given.all:
        if _GLM_6B.match(name):
            raise UnsupportedLayoutError(
                f"{_path(plan, name)}: {name}: it is a GLM-6B's; glmd gives Hugging Face's names to GLM-2, GLM-3 and "
                "GLM-4-9B so far",
                Code.NO_COUNTERPART,
            )
    check_agreement(wanted.networks)
    try:
        sizes = _sizes(given)
        for network in wanted.networks:
            check_sizes(sizes, network)
        found = tuple(_renamed(given, sizes, wanted))
        if given.left:
            raise _left_over(given.left, wanted.names)
    except _UnfitError as error:
        raise InconsistentError(f"{_path(plan, error.name)}: {error}", Code.NO_COUNTERPART) from error
    return found


def _path(plan: Plan, name: str) -> Path:
    """Return the shard that has `name`, or the first one."""
    having = (shard for shard in plan.shards.values() if name in shard.entries)
    return next(having, next(iter(plan.shards.values()))).path


def _left_over(names: Collection[str], wanted: Names) -> _UnfitError:
    name = min(names)
    more = f", and {len(names) - 1} more have none" if len(names) > 1 else ""
    hint = "it is of a LoRA adapter: add it to its weight (--lora merge)" if _ADAPTER.search(name) else "is it a GLM's?"
    return _UnfitError(name, f"it has no counterpart among the names of {wanted}{more}: {hint}")


def _layers(names: Collection[str]) -> int:
    """Count the layers; each number from 0 on must be there."""
    numbers = {int(match[1]) for match in map(_LAYER.fullmatch, names) if match is not None}
    return max(numbers, default=-1) + 1


def _sizes(given: _Parameters) -> Sizes:
    """Read off the sizes, of the first layer; what the others have is compared with them."""
    vocabulary, hidden = _matrix(given.take(_EMBEDDING))
    queries = _matrix(given.take(_of_layer(0, _DENSE)))[1]
    rest = given.rows(_of_layer(0, f"{_QKV}.weight")) - queries
    ffn = _matrix(given.take(_of_layer(0, _DOWN)))[1]
    bias = any(_of_layer(0, f"{stem}.bias") in given.all for stem in (_QKV, _Q))
    if rest <= 0 or rest % 2:
        name = _of_layer(0, f"{_QKV}.weight")
        raise _UnfitError(
            name,
            f"it has {rest + queries} rows, but {_of_layer(0, _DENSE)} has {queries} columns, as many as q has rows",
        )
    return Sizes(_layers(given.all), hidden, vocabulary, ffn, queries, rest // 2, bias)


def _renamed(given: _Parameters, sizes: Sizes, wanted: HuggingFace) -> Iterator[Assembled]:
    """Yield all tensors, the layers between the embedding and the rest."""
    own = wanted.names is Names.GLM
    hidden = sizes.hidden
    heads = _Heads(sizes, _rearranged_head(sizes, wanted.networks))
    for name, targets in _OUTER.items():
        dims = (hidden,) if name.endswith("layernorm.weight") else (sizes.vocabulary, hidden)
        yield _whole(given.take(name), targets[own], dims)
    shapes = {_DENSE: (hidden, sizes.queries), _DOWN: (hidden, sizes.ffn)}
    for layer in range(sizes.layers):
        target = f"model.layers.{layer}." if own else _of_layer(layer, "")
        for name, targets in _INNER.items():
            source = given.take(_of_layer(layer, name))
            yield _whole(source, f"{target}{targets[own]}", shapes.get(name, (hidden,)))
        gate_up = f"{target}mlp.gate_up_proj.weight" if own else _of_layer(layer, f"{_GATE_UP}.weight")
        rows = tuple(_all(given.take(part)) for part in given.parts(_of_layer(layer, f"{_GATE_UP}.weight")))
        yield _joined(gate_up, rows, (2 * sizes.ffn, hidden))
        for kind, columns in (("weight", (hidden,)), *((("bias", ()),) if sizes.bias else ())):
            parts = heads.parts(given, _of_layer(layer, f"{_QKV}.{kind}"))
            if own:
                for letter, part in zip("qkv", parts, strict=True):
                    count = sizes.queries if letter == "q" else sizes.keys
                    yield _joined(f"{target}self_attn.{letter}_proj.{kind}", (part,), (count, *columns))
            else:
                count = sizes.queries + 2 * sizes.keys
                yield _joined(_of_layer(layer, f"{_QKV}.{kind}"), parts, (count, *columns))


def _rearranged_head(sizes: Sizes, networks: Sequence[Network]) -> int:
    """Return how many rows a head has whose rows are to be put back; 0 where they were not moved."""
    if not is_rearranged(networks):
        return 0
    size = head_size(networks)
    if size is None:
        where = next(network.where for network in networks if network.rearranged)
        raise InconsistentError(
            f"{where}: it says use_rearrange_rope, so that the rows of each head were moved, but nothing says how many "
            "rows a head has: give it kv_channels, or a base model (hf_base) whose config.json does",
            Code.NETWORK_UNKNOWN,
        )
    if size <= 0 or size % 2 or sizes.queries % size or sizes.keys % size:
        raise InconsistentError(
            f"heads of {size} rows cannot be rearranged: the weights have {sizes.queries} rows of queries and "
            f"{sizes.keys} of keys",
            Code.BASE_UNFIT,
        )
    return size


@dataclass(frozen=True)
class _Heads:
    """How q, k and v come out of a layer's parameters."""

    sizes: Sizes
    head: int

    def parts(self, given: _Parameters, name: str) -> tuple[Rows, ...]:
        """Return q, k and v of `name`, the three side by side, or what it was cut into."""
        sources = [given.take(part) for part in given.parts(name)]
        counts = (self.sizes.queries, self.sizes.keys, self.sizes.keys)
        moved = (self.head, self.head, 0)
        if len(sources) > 1:
            for source, count in zip(sources, counts, strict=True):
                _check_dims(source, (count, *source.tiling.dims[1:]))
            return tuple(
                Rows(source, 0, count, head) for source, count, head in zip(sources, counts, moved, strict=True)
            )
        _check_dims(sources[0], (sum(counts), *sources[0].tiling.dims[1:]))
        firsts = (0, counts[0], counts[0] + counts[1])
        return tuple(
            Rows(sources[0], first, count, head) for first, count, head in zip(firsts, counts, moved, strict=True)
        )


def _of_layer(layer: int, name: str) -> str:
    return f"transformer.encoder.layers.{layer}.{name}"


def _all(source: Parameter) -> Rows:
    return Rows(source, 0, source.tiling.dims[0])


def _whole(source: Parameter, name: str, dims: tuple[int, ...]) -> Assembled:
    _check_dims(source, dims)
    return Assembled.of(name, (_all(source),))


def _joined(name: str, rows: tuple[Rows, ...], dims: tuple[int, ...]) -> Assembled:
    """Put rows together that must make a tensor of `dims`."""
    first = rows[0].of
    for part in rows:
        _check_dims(part.of, (part.of.tiling.dims[0], *dims[1:]))
        if part.of.type != first.type:
            raise _UnfitError(part.of.name, f"it is {part.of.type}, but {first.name}, which it joins, is {first.type}")
    joined = Assembled.of(name, rows)
    if joined.dims != dims:
        raise _UnfitError(first.name, f"it makes {name} {list(joined.dims)}, but by other weights that is {list(dims)}")
    return joined


def _matrix(parameter: Parameter) -> tuple[int, int]:
    dims = parameter.tiling.dims
    if len(dims) != 2 or 0 in dims:
        raise _UnfitError(parameter.name, f"it has shape {list(dims)}, and is to be a matrix")
    return dims[0], dims[1]


def _check_dims(parameter: Parameter, dims: tuple[int, ...]) -> None:
    if parameter.tiling.dims != dims:
        raise _UnfitError(
            parameter.name, f"it has shape {list(parameter.tiling.dims)}, but by other weights that is {list(dims)}"
        )
