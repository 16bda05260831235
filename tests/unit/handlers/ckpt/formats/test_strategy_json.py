"""Promises of handlers.ckpt.formats.strategy_json: the JSON form says what the protobuf form says, or is refused."""

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import CkptError, DamagedFileError, Layout, read_strategies, read_strategy
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Write, layout_cases, strategy, strategy_json

LAYS = {
    "lm_head.weight": Lay((2, 4), (0, -1)).sharded(-1),
    "dense.weight": Lay((2, 4), (-1, [1, 0])),
    "layernorm.gamma": Lay((2, 4), (-1,)),
    "scalar": Lay((2, 4), ()),
}


def test_it_says_what_the_protobuf_form_says(written: Write) -> None:
    """Layouts, optimizer shards, stages: whichever form is given, found out by content and not by name."""
    one = read_strategy(written(strategy(LAYS, stages=(1,)), "a.json"))
    two = read_strategy(written(b"\n " + strategy_json(LAYS, stages=(1,)), "b.ckpt"))
    assert two.stages[1].layouts == one.stages[1].layouts
    assert list(two.stages[1].layouts) == list(LAYS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=layout_cases())
def test_any_layout_is_the_same_in_both_forms(written: Write, case: tuple[Lay, tuple[int, ...]]) -> None:
    """Whatever tensor_map over whatever dev_matrix, with optimizer shards or without."""
    lays = {"w": case[0]}
    paths = [written(strategy(lays), "a.ckpt"), written(strategy_json(lays), "b.json")]
    assert len(read_strategies(paths).files) == 1


def test_the_joined_form_is_read(written: Write) -> None:
    """merge_pipeline_strategys joins files of the JSON form into one of that form."""
    lay = Lay((2,), (0,))
    read = read_strategy(written(strategy_json({"0-a": lay, "1-b": lay}, stages=(0, 1))))
    assert [list(stage.layouts) for stage in read.stages.values()] == [["a"], ["b"]]


def test_the_shape_of_the_whole_is_kept() -> None:
    """The JSON form alone tells it, to be held against the shards; it makes no other layout."""
    assert Layout((2,), (0,), shape=(4,)) == Layout((2,), (0,))


def test_uneven_slices_are_seen(written: Write) -> None:
    """param_split_shape, indices_offset and field are named."""
    lays = {"a": Lay((2,), (0,), split_shape=(3, 5)), "b": Lay((2,), (0,), field_size=4)}
    read = read_strategy(written(strategy_json(lays)))
    assert [layout.uneven for layout in read.layouts.values()] == ["param_split_shape, indices_offset", "field"]


def item(**changes: object) -> bytes:
    """Return a file with one parameter, `w`, of which some keys have other values; `...` for none."""
    whole = json.loads(strategy_json({"w": Lay((2,), (0,))}))
    whole["parallel_layout_item"]["w"] |= changes
    found = whole["parallel_layout_item"]["w"]
    whole["parallel_layout_item"]["w"] = {key: value for key, value in found.items() if value is not ...}
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b"{", r"shard\.ckpt:1:2: Expecting property name"),
        (b'{"a": 1,\n "b" 2}', r"shard\.ckpt:2:6: Expecting ':' delimiter"),
        (b'{"a": 1} {', r"shard\.ckpt:1:10: Extra data"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": "\xff"}', "at byte 7: it is not UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"a": ' + b"[" * 100_000, "nested too deep"),
        (b"{}", "names no parameter"),
        (b'{"parallel_layout_item": []}', "parallel_layout_item: it is no object"),
        (b'{"parallel_layout_item": {"w": 3}}', r"parallel_layout_item\.w: it is no object"),
        (b'{"parallel_strategy_item": {"op": {}}}', r"parallel_strategy_item\.op: stage is missing"),
        (b'{"parallel_strategy_item": {"op": {"stage": -1}}}', r"op\.stage: -1 is no pipeline stage"),
        (b'{"parallel_layout_item": {}, "parallel_layout_item": {}}', "parallel_layout_item: it is in the file twice"),
        (item().replace(b'"w"', b'"w": {}, "w"'), r"parallel_layout_item\.w: it is in the file twice"),
        (item().replace(b'"field"', b'"field": 0, "field"'), r"item\.w\.field: it is in the file twice"),
        (item(dev_matrix=...), r"parallel_layout_item\.w: dev_matrix is missing"),
        (item(tensor_map=...), r"parallel_layout_item\.w: tensor_map is missing"),
        (item(field=...), r"parallel_layout_item\.w: field is missing"),
        (item(dev_matrix=2), r"w\.dev_matrix: it is no list"),
        (item(dev_matrix=[2.5]), r"w\.dev_matrix\[0\]: it is no whole number"),
        (item(dev_matrix=[True]), r"w\.dev_matrix\[0\]: it is no whole number"),
        (item(dev_matrix=[1 << 63]), r"w\.dev_matrix\[0\]: it is no whole number of 64 bits"),
        (item(dev_matrix=[1] * 33), r"w\.dev_matrix: it has over 32 dimensions"),
        (item(tensor_map=[[0, "1"]]), r"w\.tensor_map\[0\]\[1\]: it is no whole number"),
        (item(tensor_map=[[[0]]]), r"w\.tensor_map\[0\]\[0\]: it is no whole number"),
        (item(tensor_map=[1]), r"w: tensor_map \[1\] does not fit dev_matrix \[2\]"),
        (item(opt_weight_shard_size=2), r"w: opt_weight_shard_size 2 does not divide"),
        (item(tensor_shape="x"), r"w\.tensor_shape: it is no list"),
        (b'{"a": [' + b"0," * (1 << 20) + b"0]}", "values; no strategy file has"),
    ),
)
def test_malformed_files_are_refused_with_their_place(written: Write, content: bytes, reason: str) -> None:
    """Line and column of what is no JSON, the key path of a value that cannot be."""
    with pytest.raises(DamagedFileError, match=f"(?s)shard.ckpt.*({reason})|{reason}"):
        read_strategy(written(content))


REPLACE: list[Callable[[bytes, int], bytes]] = [
    lambda content, at: content[:at],
    lambda content, at: content[:at] + content[at + 1 :],
    lambda content, at: content[:at] + b"[" + content[at:],
    lambda content, at: content[:at] + b"9" + content[at + 1 :],
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.sampled_from(REPLACE), at=st.integers(1, len(strategy_json(LAYS)) - 1))
def test_damage_never_escapes_as_another_error(written: Write, damage: Callable[[bytes, int], bytes], at: int) -> None:
    """A file that was cut, or in which bytes changed, is read or refused by our own error."""
    path = written(damage(strategy_json(LAYS), at))
    try:
        read_strategy(path)
    except CkptError as error:
        assert path.name in str(error)  # noqa: PT017 - either outcome is right
