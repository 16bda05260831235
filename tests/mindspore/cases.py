"""What a training left behind, in words: parameters, layouts, stages; and strategies that make such cases at random."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

BFLOAT16 = "BFloat16"
TYPES = (
    "Float16", "Float32", "Float64", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Bool",
)  # fmt: skip
"""What both versions of MindSpore write; the newer one also has BFLOAT16."""
LARGE = 1 << 20
"""Elements."""
Axes = tuple[int, ...]
"""The axes of a dev_matrix that cut one dimension of a tensor, counted from the right, the outermost first."""
NO_AXES: Axes = (-1,)


@dataclass(frozen=True)
class Layout:
    """A parameter's line in a strategy file. `size` and `step` are the optimizer shards'."""

    dev_matrix: tuple[int, ...]
    tensor_map: tuple[Axes, ...]
    size: int = 0
    step: int = 0

    @classmethod
    def of(cls, dev_matrix: Sequence[int], tensor_map: Sequence[int]) -> "Layout":
        """One axis a dimension, as nearly every layout has."""
        return cls(tuple(dev_matrix), tuple((axis,) for axis in tensor_map))

    @property
    def used(self) -> tuple[int, ...]:
        """The axes that cut a dimension, in the order of the dimensions."""
        return tuple(axis for axes in self.tensor_map for axis in axes if axis != -1)

    @property
    def cuts(self) -> tuple[int, ...]:
        """Into how many slices each dimension is cut, optimizer shards apart."""
        return tuple(math.prod(self.dev_matrix[-1 - axis] for axis in axes if axis != -1) for axes in self.tensor_map)

    @property
    def replicas(self) -> int:
        """How many ranks hold the same slice, before optimizer shards part it."""
        return math.prod(self.dev_matrix) // math.prod(self.cuts)

    def sharing(self) -> tuple[int, ...]:
        """Return the ranks that hold the same slice as rank 0."""
        ranks = np.arange(math.prod(self.dev_matrix)).reshape(self.dev_matrix)
        first = tuple(0 if len(self.dev_matrix) - 1 - at in self.used else slice(None) for at in range(ranks.ndim))
        return tuple(int(rank) for rank in np.ravel(ranks[first]))

    def sharded(self, size: int) -> "Layout":
        """Return the layout with optimizer shards, as MindSpore describes them; -1 parts all replicas."""
        sharing = self.sharing()
        return replace(self, size=size, step=(sharing[-1] - sharing[0]) // (len(sharing) - 1))


@dataclass(frozen=True)
class Parameter:
    """One parameter, its dims those of the whole tensor. Without a layout, every rank of its stages has all of it."""

    name: str
    dims: tuple[int, ...]
    type: str
    layout: Layout | None = None
    stages: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Case:
    """What a training left behind. `ranks` are one stage's; `append` is what save_checkpoint calls append_dict."""

    parameters: tuple[Parameter, ...]
    ranks: int
    stages: int = 1
    strategy: str = "protobuf"
    format: str = "ckpt"
    prefix: str = "glm-6b"
    tag: str = "31_4"
    append: tuple[tuple[str, str | int | float | bool], ...] = ()
    crc_check: bool = False
    remove_redundancy: bool = False
    """Whether of the ranks that hold the same slice only one saves it. Safetensors of a newer MindSpore only."""

    @property
    def has_strategy(self) -> bool:
        """False for data parallel runs."""
        return any(parameter.layout for parameter in self.parameters)

    def described(self) -> dict[str, object]:
        """Return it for worker.py."""
        return asdict(self)

    def whole(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return every parameter's whole tensor: random, the same each time; BFloat16 as its bits."""
        generator = np.random.default_rng(7)
        return {each.name: _content(generator, each) for each in self.parameters}

    def kept(self) -> dict[str, Parameter]:
        """Return the parameters that the default filter keeps."""
        return {
            each.name: each
            for each in self.parameters
            if "adam" not in each.name and not each.name.startswith("accu_grads.")
        }


def _content(generator: np.random.Generator, parameter: Parameter) -> npt.NDArray[np.generic]:
    """Return random values; no NaN, whose bits conversions may change. Large tensors repeat a few."""
    if math.prod(parameter.dims) > LARGE:
        return np.resize(_content(generator, replace(parameter, dims=(LARGE - 1,))), parameter.dims)
    normal = generator.standard_normal(parameter.dims, dtype=np.float32)
    if parameter.type == BFLOAT16:
        return np.asarray(np.asarray(normal).view(np.uint32) >> 16, np.uint16)
    kind = np.dtype("bool_" if parameter.type == "Bool" else parameter.type.lower())
    if kind.kind == "f":
        return np.asarray(normal, kind)
    return np.asarray(np.asarray(normal) * 100 > 0 if kind.kind == "b" else np.abs(normal) * 40, kind)


SCALARS = (
    Parameter("scale_sense", (), "Float32"),
    Parameter("global_step", (1,), "Int32"),
    Parameter("current_iterator_step", (), "Int32"),
    Parameter("last_overflow_iterator_step", (), "Int32"),
    Parameter("epoch_num", (), "Int64"),
    Parameter("step_num", (), "Int64"),
    Parameter("loss_scale", (), "Float32"),
)
"""What a training with dynamic loss scaling saves beside the weights."""


def glm(
    dev_matrix: Sequence[int], kind: str, *, layers: int = 2, hidden: int = 16, vocabulary: int = 48
) -> tuple[Parameter, ...]:
    """GLM's parameters under the stock layout: rows, columns, biases and norms, and Adam's moments of them all."""
    rows, columns = Layout.of(dev_matrix, (0, -1)), Layout.of(dev_matrix, (-1, 0))
    cut, uncut = Layout.of(dev_matrix, (0,)), Layout.of(dev_matrix, (-1,))
    weights = [Parameter("word_embeddings.embedding_table", (vocabulary, hidden), "Float32", rows)]
    for layer in range(layers):
        at = f"transformer.layers.{layer}"
        weights += [
            Parameter(f"{at}.input_layernorm.gamma", (hidden,), "Float32", uncut),
            Parameter(f"{at}.attention.query_key_value.weight", (3 * hidden, hidden), kind, rows),
            Parameter(f"{at}.attention.query_key_value.bias", (3 * hidden,), kind, cut),
            Parameter(f"{at}.attention.dense.bias", (hidden,), kind, uncut),
            Parameter(f"{at}.mlp.dense_h_to_4h.weight", (4 * hidden, hidden), kind, rows),
            Parameter(f"{at}.mlp.dense_4h_to_h.weight", (hidden, 4 * hidden), kind, columns),
        ]
    weights.append(Parameter("lm_head.weight", (vocabulary, hidden), kind, rows))
    return (*weights, *(moment for which in "mv" for moment in _moments(f"adam_{which}", weights)))


def _moments(prefix: str, weights: Sequence[Parameter]) -> Iterator[Parameter]:
    for weight in weights:
        yield replace(weight, name=f"{prefix}.{weight.name}", type="Float32")


def in_stages(weights: Sequence[Parameter], stages: int, *, tied: str) -> tuple[Parameter, ...]:
    """Deal parameters out over pipeline stages in turn, as layers are; `tied` is in the first and the last."""
    per_stage = -(-len(weights) // stages)
    return tuple(
        replace(weight, stages=(0, stages - 1) if weight.name.endswith(tied) else (index // per_stage,))
        for index, weight in enumerate(weights)
    )


MIXED = "optimizer shards come out mixed where a tensor's axes are not in the order of its dimensions"
STEP_REFUSED = "optimizer shards are refused where their step is not the number of slices"
GROUPS_REFUSED = "optimizer shards are refused where their groups do not fit the grid"


def mindspore_fault(case: Case, version: str) -> str | None:
    """Return what MindSpore's own merge gets wrong in the case; None where it is right.

    Each fault has a test of its own in test_merge_parity.py. There, numpy's reassembly says what is right.
    """
    faults = (_fault(each.layout, version) for each in case.parameters if each.layout is not None and each.layout.size)
    return next((fault for fault in faults if fault is not None), None)


def _fault(layout: Layout, version: str) -> str | None:
    grid = layout.dev_matrix
    used = [axis for axis in layout.used if grid[-1 - axis] > 1]
    unused = [size for at, size in enumerate(grid) if size > 1 and len(grid) - 1 - at not in layout.used]
    in_order = used == sorted(used, reverse=True)
    if version.startswith("2.0"):
        if layout.step != math.prod(layout.cuts):
            return STEP_REFUSED
        return None if in_order else MIXED
    first = grid[0] > 1 and len(grid) - 1 not in layout.used
    plain = all(len(axes) == 1 for axes in layout.tensor_map)
    if plain and first and len(unused) in {1, len(grid)}:
        return None if in_order else MIXED
    return None if _fits(layout.replicas if layout.size == -1 else layout.size, unused) else GROUPS_REFUSED


def _fits(group: int, unused: Sequence[int]) -> bool:
    """Tell whether groups of `group` ranks are whole axes of the grid, from the last on, and a divisor of one more."""
    for size in reversed(unused):
        if group <= size:
            return size % group == 0
        if group % size:
            return False
        group //= size
    return group == 1


@st.composite
def _layouts(draw: st.DrawFn, ranks: int, version: str) -> Layout:
    """Any grid of `ranks` ranks, and any way to cut a tensor of up to four dimensions over it."""
    dev_matrix, rest = [], ranks
    while rest > 1:
        size = draw(st.sampled_from([size for size in range(2, rest + 1) if rest % size == 0]))
        dev_matrix.append(size)
        rest //= size
    if not dev_matrix or draw(st.booleans()):
        dev_matrix.insert(draw(st.integers(0, len(dev_matrix))), 1)
    free = draw(st.permutations(range(len(dev_matrix))))
    tensor_map: list[Axes] = []
    for _ in range(draw(st.integers(1, 4))):
        most = 1 if version == "2.0" else 2
        count = min(draw(st.integers(0, most)), len(free))
        tensor_map.append(tuple(free[:count]) or NO_AXES)
        free = free[count:]
    layout = Layout(tuple(dev_matrix), tuple(tensor_map))
    if layout.replicas == 1 or draw(st.booleans()):
        return layout
    divisors = [size for size in range(2, layout.replicas + 1) if layout.replicas % size == 0]
    return layout.sharded(draw(st.sampled_from([-1, *divisors])))


@st.composite
def cases(draw: st.DrawFn, version: str) -> Case:
    """Any run of up to 16 ranks that the version of MindSpore can have saved."""
    types = st.sampled_from(TYPES if version == "2.0" else (*TYPES, BFLOAT16))
    ranks = draw(st.sampled_from((1, 2, 3, 4, 6, 8)))
    stages = draw(st.integers(1, min(3, 16 // ranks)))
    weights = []
    for index in range(draw(st.integers(stages, stages + 3))):
        layout = draw(_layouts(ranks, version))
        shards = layout.replicas if layout.size == -1 else layout.size or 1
        slices = [draw(st.integers(1, 3)) for _ in layout.cuts]
        dims = [size * cut for size, cut in zip(slices, layout.cuts, strict=True)]
        dims[0] *= shards
        tied = stages > 1 and index >= stages and draw(st.booleans())  # each stage has a parameter of its own
        home = (0, stages - 1) if tied else (index % stages,)
        weights.append(Parameter(f"layer{index}.weight", tuple(dims), draw(types), layout, home))
    loose = [
        Parameter(f"loose{index}", dims, draw(types), None, tuple(range(stages)))
        for index, dims in enumerate(draw(st.lists(st.sampled_from(((), (1,), (2, 3))), max_size=3)))
    ]
    parameters = [*weights, *loose] if draw(st.booleans()) else [*loose, *weights]
    for prefix in draw(st.lists(st.sampled_from(("adam_m", "adam_v", "accu_grads")), unique=True)):
        parameters += _moments(prefix, weights)
    plain = all(len(axes) == 1 for each in weights if each.layout for axes in each.layout.tensor_map)
    return Case(
        tuple(parameters),
        ranks,
        stages,
        strategy=draw(st.sampled_from(("protobuf", "json"))) if plain else "protobuf",
        prefix=draw(st.sampled_from(("glm-6b", "mindformers", "a_rank_1"))),
        tag=f"{draw(st.integers(0, 99))}_{draw(st.integers(1, 99))}",
    )
