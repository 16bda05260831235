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

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import InconsistentError, UnsupportedLayoutError
from handlers.ckpt.planning.assembled import Assembled, Rows
from handlers.ckpt.planning.hf_base import BaseModel
from handlers.ckpt.planning.network import Names, Network, check_agreement, head_size, is_rearranged
from handlers.ckpt.planning.plan import Parameter

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


@dataclass(frozen=True)
class _Sizes:
    """A network's sizes, as its weights have them."""

    layers: int
    hidden: int
    vocabulary: int
    ffn: int
    queries: int
    """Rows of q."""
    keys: int
    """Rows of k, and of v."""
    bias: bool


@dataclass
class _Parameters:
    """The plan's parameters, each to be taken once."""

    all: Mapping[str, Parameter]
    left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.left = set(self.all)

    def take(self, name: str) -> Parameter:
        """Return the parameter `name`. Raises InconsistentError where it is missing."""
        if name not in self.all:
            raise InconsistentError(
                f"{name} is missing: Hugging Face's model has it. Are these all weights of a GLM-2, GLM-3 or GLM-4-9B?",
                Code.NO_COUNTERPART,
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
        whole = next(each for each in _TAKEN_APART if stem.endswith(each))
        parts = tuple(f"{stem.removesuffix(whole)}{part}{dot}{kind}" for part in _TAKEN_APART[whole])
        if parts[0] not in self.all:
            self.take(name)
        for part in parts:
            self.take(part)
        return parts


def rename(parameters: Sequence[Parameter], wanted: HuggingFace) -> tuple[Assembled, ...]:
    """Return what is to be written of `parameters`, a GLM's weights by MindFormers' names.

    Raises UnsupportedLayoutError for a GLM-6B, and InconsistentError where something has no counterpart or is missing,
    where shapes do not fit each other, or the weights are not what `wanted` says of them.
    """
    given = _Parameters({each.name: each for each in parameters})
    for name in given.all:
        if _GLM_6B.match(name):
            raise UnsupportedLayoutError(
                f"{name}: it is a GLM-6B's; glmd gives Hugging Face's names to GLM-2, GLM-3 and GLM-4-9B so far",
                Code.NO_COUNTERPART,
            )
    check_agreement(wanted.networks)
    sizes = _sizes(given, _layers(given.all))
    for network in wanted.networks:
        _check_network(sizes, network)
    found = tuple(_renamed(given, sizes, wanted))
    if given.left:
        name = min(given.left)
        hint = ": it is of a LoRA adapter: add it to its weight (--lora merge)" if _ADAPTER.search(name) else ""
        more = f", nor {len(given.left) - 1} more" if len(given.left) > 1 else ""
        raise InconsistentError(
            f"{name} has no counterpart among the names of {wanted.names}{more}{hint}. Nothing is left out silently",
            Code.NO_COUNTERPART,
        )
    return found


def _layers(names: Collection[str]) -> int:
    """Count the layers; each number from 0 on must be there."""
    numbers = {int(match[1]) for match in map(_LAYER.fullmatch, names) if match is not None}
    return max(numbers, default=-1) + 1


def _sizes(given: _Parameters, layers: int) -> _Sizes:
    if not layers:
        given.take(_of_layer(0, _DENSE))
    vocabulary, hidden = _matrix(given.take(_EMBEDDING))
    queries = _matrix(given.take(_of_layer(0, _DENSE)))[1]
    rest = given.rows(_of_layer(0, f"{_QKV}.weight")) - queries
    ffn = _matrix(given.take(_of_layer(0, _DOWN)))[1]
    bias = any(_of_layer(0, f"{stem}.bias") in given.all for stem in (_QKV, _Q))
    if rest <= 0 or rest % 2:
        raise InconsistentError(
            f"{_of_layer(0, _QKV)} has {rest + queries} rows, but {_of_layer(0, _DENSE)} has {queries} columns: k and "
            "v cannot share the rest",
            Code.NO_COUNTERPART,
        )
    return _Sizes(layers, hidden, vocabulary, ffn, queries, rest // 2, bias)


def _check_network(sizes: _Sizes, network: Network) -> None:
    """Refuse weights that are not as a file says."""
    for field_, found in (
        ("layers", sizes.layers),
        ("hidden", sizes.hidden),
        ("vocabulary", sizes.vocabulary),
        ("ffn", sizes.ffn),
        ("bias", sizes.bias),
        ("tied", False),  # the output layer is there, and its loader would leave it out
    ):
        said = getattr(network, field_)
        if said is not None and said != found:
            raise InconsistentError(
                f"{network.key(field_)} is {said}, but in the weights it is {found}: is it another model's?",
                Code.BASE_UNFIT,
            )
    for heads, rows, what in (("heads", sizes.queries, "queries"), ("groups", sizes.keys, "keys")):
        count, size = getattr(network, heads), network.head_size
        if count is not None and size is not None and count * size != rows:
            raise InconsistentError(
                f"{network.key(heads)} is {count}, of {size} rows each, but the weights' {what} have {rows} rows: is "
                "it another model's?",
                Code.BASE_UNFIT,
            )


def _renamed(given: _Parameters, sizes: _Sizes, wanted: HuggingFace) -> Iterator[Assembled]:
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
        rows = tuple(_all(given.take(each)) for each in given.parts(_of_layer(layer, f"{_GATE_UP}.weight")))
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


def _rearranged_head(sizes: _Sizes, networks: Sequence[Network]) -> int:
    """Return how many rows a head has whose rows are to be put back; 0 where they were not moved."""
    if not is_rearranged(networks):
        return 0
    size = head_size(networks)
    if size is None:
        where = next(each.where for each in networks if each.rearranged)
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

    sizes: _Sizes
    head: int

    def parts(self, given: _Parameters, name: str) -> tuple[Rows, ...]:
        """Return q, k and v of `name`, the three side by side, or what it was cut into."""
        sources = [given.take(each) for each in given.parts(name)]
        counts = (self.sizes.queries, self.sizes.keys, self.sizes.keys)
        moved = (self.head, self.head, 0)
        if len(sources) > 1:
            return tuple(
                Rows(source, 0, source.tiling.dims[0], head) for source, head in zip(sources, moved, strict=True)
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
    for each in rows:
        _check_dims(each.of, (each.of.tiling.dims[0], *dims[1:]))
        if each.of.type != rows[0].of.type:
            raise InconsistentError(
                f"{each.of.name} is {each.of.type}, but {rows[0].of.name}, to which it is joined, {rows[0].of.type}",
                Code.NO_COUNTERPART,
            )
    joined = Assembled.of(name, rows)
    if joined.dims != dims:
        raise InconsistentError(
            f"{rows[0].of.name} makes {name} {list(joined.dims)}, but by the other weights it is {list(dims)}",
            Code.NO_COUNTERPART,
        )
    return joined


def _matrix(parameter: Parameter) -> tuple[int, int]:
    dims = parameter.tiling.dims
    if len(dims) != 2:
        raise InconsistentError(f"{parameter.name} has shape {list(dims)}: a matrix was expected", Code.NO_COUNTERPART)
    return dims[0], dims[1]


def _check_dims(parameter: Parameter, dims: tuple[int, ...]) -> None:
    if parameter.tiling.dims != dims:
        raise InconsistentError(
            f"{parameter.name} has shape {list(parameter.tiling.dims)}, but by the other weights it is {list(dims)}",
            Code.NO_COUNTERPART,
        )
