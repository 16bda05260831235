"""Promises of handlers.ckpt.planning.families: what training state is, is told by the other parameters of the set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ckpt import Family
from handlers.ckpt.entry import Entry, Extent
from handlers.ckpt.planning.families import Families, families_of

WEIGHTS = {
    "transformer.word_embeddings.embedding_table": (16, 8),
    "transformer.layers.0.attention.dense.weight": (8, 8),
    "transformer.layers.0.attention.dense.bias": (8,),
    "lm_head.weight": (16, 8),
}
SEVEN = dict.fromkeys(
    (
        "scale_sense",
        "global_step",
        "current_iterator_step",
        "last_overflow_iterator_step",
        "epoch_num",
        "step_num",
        "loss_scale",
    ),
    (0,),
)


def judged(shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Return the family of each name of a set."""
    return dict(families(shapes).of)


def families(shapes: dict[str, tuple[int, ...]]) -> Families:
    """Judge a set of entries with these dims."""
    return families_of({name: Entry(name, dims, "Float32", (Extent(0, 4),)) for name, dims in shapes.items()})


def copies(prefix: str, of: dict[str, tuple[int, ...]] = WEIGHTS) -> dict[str, tuple[int, ...]]:
    """Return what an optimizer clones of each weight."""
    return {f"{prefix}{name}": dims for name, dims in of.items()}


def came() -> dict[str, tuple[int, ...]]:
    """Return the state of MindFormers' Came: its factored tensors have no dot behind their prefix."""
    state = copies("exp_avg.")
    for name, dims in WEIGHTS.items():
        factored = len(dims) > 1
        for kind in ("sq", "insta"):
            state[f"exp_avg_{kind}_row_{name}"] = dims[:-1] if factored else (1,)
            state[f"exp_avg_{kind}_col_{name}"] = dims[:-2] + dims[-1:] if factored else (1,)
        state[f"exp_avg_sq_{name}"] = (1,) if factored else dims
    return state


def muon() -> dict[str, tuple[int, ...]]:
    """Return the state of MindFormers' Muon: of what it leaves to Adam it has a single element, and the reverse."""
    matrix = "transformer.layers.0.attention.dense.weight"
    state = {f"muon_m.{name}": dims if name == matrix else (1,) for name, dims in WEIGHTS.items()}
    for moment in ("adam_m", "adam_v"):
        state |= {f"{moment}.{name}": (1,) if name == matrix else dims for name, dims in WEIGHTS.items()}
    return state


@pytest.mark.parametrize(
    "state",
    (
        copies("adam_m.") | copies("adam_v.") | copies("accu_grads."),
        copies("exp_avg.") | copies("exp_avg_sq.") | copies("max_exp_avg_sq."),
        came(),
        muon(),
        copies("adam_m.") | copies("pma_weight_ema."),
        copies("moments.") | copies("moments.", {}),
        copies("lamb_m.") | copies("lamb_v."),
        copies("optimizer.exp_avg."),
    ),
    ids=("adam", "fused", "came", "muon", "pma", "momentum", "lamb", "nested"),
)
def test_the_state_of_every_optimizer_of_mindformers_is_optimizer_state(state: dict[str, tuple[int, ...]]) -> None:
    """By the real names and shapes; weights and the seven scalars stay what they are."""
    expected = dict.fromkeys(WEIGHTS, "weights") | dict.fromkeys(SEVEN, "scalars") | dict.fromkeys(state, "optimizer")
    assert judged(WEIGHTS | SEVEN | state) == expected


def test_a_copy_that_no_list_names_is_a_family_of_its_own_name() -> None:
    """An average of the weights, under whatever prefix, dots in it too."""
    found = judged(WEIGHTS | copies("ema.") | copies("averages.slow."))
    assert {found[name] for name in copies("ema.")} == {"ema"}
    assert {found[name] for name in copies("averages.slow.")} == {"averages.slow"}


def test_a_weight_that_ends_like_another_is_no_state() -> None:
    """`transformer.` holds parameters that are nobody's copy, so that all of it is weights."""
    shapes = WEIGHTS | {"transformer.lm_head.weight": (16, 8)}
    assert set(judged(shapes).values()) == {"weights"}


@pytest.mark.parametrize("twin", ("transformer.head.lm_head.weight", "transformer.layers.0.lm_head.weight"))
def test_nor_is_a_whole_cell_within_the_weights(twin: str) -> None:
    """A tied head in a cell of its own: what surrounds it are weights."""
    assert set(judged(WEIGHTS | {twin: (16, 8)}).values()) == {"weights"}


def test_a_bare_name_makes_no_state_of_all_that_end_like_it() -> None:
    """A parameter called `weight` is not what every layer's weight is kept of: their shapes say so."""
    layers = {f"layers.{layer}.{part}.weight": (8, 8) for layer in range(3) for part in ("q", "k", "v")}
    assert set(judged(layers | {"weight": (5,), "fc.weight": (3, 4)}).values()) == {"weights"}


def test_a_partly_twinned_prefix_that_no_list_names_stays_weights() -> None:
    """A single parameter of its own is enough: what might be a weight is not dropped."""
    found = judged(WEIGHTS | copies("teacher.") | {"teacher.projection.weight": (4, 4)})
    assert {found[name] for name in copies("teacher.")} == {"weights"}


def test_a_listed_prefix_needs_no_twin() -> None:
    """No weight is called so: moments of weights that are not in the set are moments."""
    found = judged(WEIGHTS | {"exp_avg.elsewhere.weight": (3, 3), "exp_avg_sq_row_elsewhere.weight": (3,)})
    assert found["exp_avg.elsewhere.weight"] == found["exp_avg_sq_row_elsewhere.weight"] == "optimizer"


def test_words_that_cells_have_too_need_twins() -> None:
    """`linear` and `step_size` are state in Ftrl and Rprop, and layers elsewhere."""
    assert judged(WEIGHTS | {"linear.weight": (4, 4)})["linear.weight"] == "weights"
    assert judged(WEIGHTS | copies("linear."))["linear.lm_head.weight"] == "optimizer"


def test_scalars_neither_make_a_family_nor_unmake_one() -> None:
    """An average may count its updates; a step beside a step is no copy of weights."""
    found = judged(WEIGHTS | SEVEN | copies("ema.") | {"ema.num_updates": (1,), "loss.global_step": (1,)})
    assert found["ema.lm_head.weight"] == "ema"
    assert found["ema.num_updates"] == found["loss.global_step"] == "scalars"


def test_a_whole_copy_of_a_weight_that_is_cut_is_a_copy() -> None:
    """A rank may hold a slice of the one and all of the other."""
    found = judged(WEIGHTS | {f"ema.{name}": (4 * dims[0], *dims[1:]) for name, dims in WEIGHTS.items()})
    assert {found[name] for name in copies("ema.")} == {"ema"}


def test_what_an_unknown_optimizer_keeps_of_a_matrix_may_be_reduced() -> None:
    """To rows, to columns, to one number; a larger tensor is of something else."""
    rows = {f"rows.{name}": dims[:-1] or (1,) for name, dims in WEIGHTS.items()}
    columns = {f"columns.{name}": dims[1:] or (1,) for name, dims in WEIGHTS.items()}
    assert set(judged(WEIGHTS | rows | columns).values()) == {"weights", "rows", "columns"}
    assert judged(WEIGHTS | {"stack.lm_head.weight": (3, 16, 8)})["stack.lm_head.weight"] == "weights"


def test_state_of_state_belongs_to_the_outer_family() -> None:
    """And is, in the end, of the weight."""
    of_state = copies("ema.", copies("exp_avg."))
    found = families(WEIGHTS | copies("exp_avg.") | copies("ema.") | of_state)
    assert {found.of[name] for name in of_state} == {"ema"}
    assert found.states["ema.exp_avg.lm_head.weight"].of == "exp_avg.lm_head.weight"
    assert found.parameter("ema.exp_avg.lm_head.weight") == "lm_head.weight"
    assert found.parameter("lm_head.weight") == "lm_head.weight"


def test_state_of_a_part_of_the_weights_is_state() -> None:
    """A LoRA run keeps it of its adapters alone."""
    adapters = {"layers.0.mindpet_delta_lora_a": (2, 8), "layers.0.mindpet_delta_lora_b": (8, 2)}
    found = judged(WEIGHTS | adapters | copies("ema.", adapters) | copies("exp_avg.", adapters))
    assert found["ema.layers.0.mindpet_delta_lora_a"] == "ema"
    assert found["exp_avg.layers.0.mindpet_delta_lora_b"] == "optimizer"
    assert found["layers.0.mindpet_delta_lora_a"] == "weights"


def test_every_name_with_adam_in_it_is_optimizer_state() -> None:
    """As the filter by hand has it, twin or not."""
    names = (
        "adam_m.elsewhere",
        "network.adam_v.lm_head.weight",
        "layers.0.adamant",
        "beta1_power_adam",
        "ema.adam_m.x",
    )
    assert set(judged(dict.fromkeys(names, (3, 3))).values()) == {"optimizer"}


def test_a_prefix_is_said_of_each_state() -> None:
    """For counts of what was dropped."""
    found = families(WEIGHTS | came() | copies("adam_m.") | copies("ema.")).states
    prefixes = {state.prefix for state in found.values()}
    factored = {"exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_insta_row", "exp_avg_insta_col"}
    assert prefixes == {"exp_avg", "exp_avg_sq", "adam_m", "ema"} | factored
    assert found["exp_avg_sq_row_lm_head.weight"].of == "lm_head.weight"


@pytest.mark.parametrize("prefix", ("weights", "scalars"))
def test_no_family_is_called_like_what_everybody_keeps(prefix: str) -> None:
    """`--keep` could not tell them apart."""
    assert set(judged(WEIGHTS | copies(f"{prefix}.")).values()) == {"weights"}


PART = st.sampled_from(("a", "b", "layers", "0", "weight", "ema", "exp_avg"))
NAME = st.lists(PART, min_size=1, max_size=4).map(".".join)
SHAPES = st.dictionaries(NAME, st.sampled_from(((4,), (4, 4), (2, 3), (1,))), max_size=12)


@given(SHAPES)
def test_an_unrelated_weight_never_turns_weights_into_state(shapes: dict[str, tuple[int, ...]]) -> None:
    """What no name ends with, and which is nobody's twin, can but save weights."""
    before = judged(shapes)
    after = judged(shapes | {"unrelated.kernel": (7, 7)})
    assert all(after[name] == family for name, family in before.items())


@given(SHAPES)
def test_state_is_of_a_parameter_of_the_set_or_of_a_listed_prefix(shapes: dict[str, tuple[int, ...]]) -> None:
    """And the parameter that it is of in the end is never state that a twin could be named for."""
    found = families(shapes)
    for name, state in found.states.items():
        assert name.startswith(state.prefix)
        assert name.endswith(state.of)
        assert state.of in shapes or found.of[name] == "optimizer"
        assert len(found.parameter(name)) < len(name)


@given(SHAPES)
def test_the_order_of_a_set_does_not_matter(shapes: dict[str, tuple[int, ...]]) -> None:
    """Shards and stages list it in different ones."""
    assert judged(shapes) == judged(dict(reversed(shapes.items())))


@given(SHAPES)
def test_something_is_always_left_of_what_no_list_names(shapes: dict[str, tuple[int, ...]]) -> None:
    """State is of something: a set without listed names never loses all."""
    shapes = {name: dims for name, dims in shapes.items() if not name.startswith(("exp_avg.", "exp_avg_"))}
    assert not shapes or {"weights", "scalars"} & set(judged(shapes).values())


def test_names_of_any_length_and_number_are_judged() -> None:
    """50,000 entries, and a hostile name of a million dots: to look at each pair of them would not come to an end."""
    layers = {f"transformer.layers.{n}.attention.query_key_value.weight": (8, 8) for n in range(12_500)}
    shapes = layers | copies("exp_avg.", layers) | copies("exp_avg_sq.", layers) | copies("ema.", layers)
    entries = {name: Entry(name, dims, "Float32", ()) for name, dims in shapes.items()}
    entries["." * 1_000_000] = Entry("." * 1_000_000, (2, 2), "Float32", ())
    found = families_of(entries)
    assert sum(family == Family.WEIGHTS for family in found.of.values()) == 12_501


def test_families_are_said_in_words() -> None:
    """For people who named one that is not there."""
    assert str(families(WEIGHTS | SEVEN | copies("adam_m.") | copies("adam_v.") | copies("ema."))) == (
        "4 weights, 7 scalars, 8 optimizer (adam_m, adam_v), 4 ema"
    )


def test_families_are_hashable_names() -> None:
    """`optimizer` may be written as a word or as the enum's member."""
    assert Family.OPTIMIZER == "optimizer"
    assert Entry("adam_m.x", (3,), "Float32", ()).family == judged({"adam_m.x": (3,)})["adam_m.x"]
