"""Promises of planning.hugging_face: what MindFormers imported comes out as it was, or it is refused by name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import (
    CkptError,
    Format,
    HuggingFace,
    InconsistentError,
    Manifest,
    Names,
    Network,
    OutputOptions,
    UnsupportedLayoutError,
    merge,
    open_set,
    verify,
    walk,
)
from handlers.ckpt.codes import Code
from handlers.ckpt.planning.network import KeyStyle
from tests.unit.handlers.ckpt.ckpt_writer import Array, Lay, Run
from tests.unit.handlers.ckpt.glm2 import Glm, read, rearranged, same

LAYER = "transformer.encoder.layers.0"


def run_of(weights: Mapping[str, Array], source: Path, ranks: int = 1) -> Run:
    """Write shards: rows cut over the ranks where they divide, all else whole.

    So are those of which a slice would be one element: that is a scalar to glmd.
    """
    run = Run(source, ranks, tensors=dict(weights))
    run.layouts = {
        name: Lay(
            (ranks,), (0 if weight.shape[0] % ranks == 0 and weight.size > ranks else -1, *(-1,) * (weight.ndim - 1))
        )
        for name, weight in weights.items()
    }
    return run.write()


def merged(run: Run, destination: Path, wanted: HuggingFace, limit: int | None = None) -> Manifest:
    """Merge a run's weights for Hugging Face's libraries."""
    destination.mkdir(exist_ok=True)
    plan = open_set([run.shard(rank) for rank in range(run.ranks)], [run.strategy]).plan(keep=["weights"])
    return merge(plan, destination, OutputOptions(Format.SAFETENSORS, limit, hugging_face=wanted), force=True)


GLMS = st.builds(
    Glm,
    layers=st.integers(1, 3),
    hidden=st.integers(2, 5),  # a norm of one element would be a scalar
    ffn=st.integers(1, 4),
    vocabulary=st.integers(2, 9),
    heads=st.integers(1, 4),
    groups=st.integers(1, 2),
    head_size=st.sampled_from([2, 4, 6]),
    bias=st.booleans(),
    qkv_concat=st.booleans(),
    mlp_concat=st.booleans(),
    rearranged=st.booleans(),
    kind=st.sampled_from(["float32", "float16", "bfloat16"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(glm=GLMS, names=st.sampled_from(Names), ranks=st.sampled_from([1, 2, 3]), limit=st.sampled_from([None, 100]))
def test_what_was_imported_comes_out_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, glm: Glm, names: Names, ranks: int, limit: int | None
) -> None:
    """Names, shapes, types and bytes, whatever MindFormers cut, joined and moved, and however the run was cut."""
    directory = tmp_path_factory.mktemp("merge")
    run = run_of(glm.mindformers(), directory / "output", ranks)
    merged(run, directory / "merged", HuggingFace(names, (rearranged(glm),)), limit)
    expected = glm.own() if names is Names.GLM else glm.remote()
    assert same(read(directory / "merged"), expected)
    assert verify(directory / "merged").ok


def test_files_say_that_torch_may_load_them(tmp_path: Path) -> None:
    """Transformers load no safetensors of which the metadata say another framework, or none."""
    run = run_of(Glm().mindformers(), tmp_path / "output")
    merged(run, tmp_path / "merged", HuggingFace())
    assert walk(tmp_path / "merged" / "model.safetensors").metadata == {"format": "pt"}


def test_the_manifest_says_how_it_was_renamed(tmp_path: Path) -> None:
    """So that a merge of the same shards under other names, or with rows moved, is not taken for done."""
    glm = Glm(rearranged=True)
    run = run_of(glm.mindformers(), tmp_path / "output")
    first = merged(run, tmp_path / "merged", HuggingFace(Names.GLM, (rearranged(glm),)))
    assert first.renaming is not None
    assert (first.renaming.names, first.renaming.rearranged) == (Names.GLM, True)
    again = merged(run, tmp_path / "merged", HuggingFace(Names.GLM, (rearranged(glm),)))
    assert again.created == first.created
    assert again.files == first.files
    merged(run, tmp_path / "merged", HuggingFace(Names.GLM, ()))
    assert not same(read(tmp_path / "merged"), glm.own())


def test_replicas_are_compared(tmp_path: Path) -> None:
    """Also of a parameter that is cut into three."""
    weights = Glm().mindformers()
    run = Run(tmp_path / "output", 2, tensors=weights)
    run.layouts = {name: Lay((2,), (-1,) * weight.ndim) for name, weight in weights.items()}
    run.write()
    name = f"{LAYER}.self_attention.query_key_value.weight"
    weights[name] = weights[name].copy()
    weights[name][-1, -1] += 1
    other = Run(tmp_path / "other", 2, tensors=weights, layouts=run.layouts).write()
    run.write_shard(1, other.shard(1).read_bytes())
    with pytest.raises(InconsistentError, match=rf"{name}: it differs from that of .*rank_0"):
        merged(run, tmp_path / "merged", HuggingFace())
    assert not list((tmp_path / "merged").iterdir())


def refused(weights: Mapping[str, Array], tmp_path: Path, *networks: Network) -> CkptError:
    """Return why these weights are refused; nothing must have been written."""
    run = run_of(weights, tmp_path / "output")
    with pytest.raises(CkptError) as caught:
        merged(run, tmp_path / "merged", HuggingFace(Names.GLM, networks))
    assert not list((tmp_path / "merged").iterdir())
    return caught.value


def test_a_name_without_counterpart_is_refused(tmp_path: Path) -> None:
    """GLM-4-0414 has such norms; nothing is left out silently."""
    weights = Glm().mindformers() | {f"{LAYER}.post_mlp_layernorm.weight": np.ones(6, "float32")}
    error = refused(weights, tmp_path)
    assert error.code == Code.NO_COUNTERPART
    name = f"{LAYER}.post_mlp_layernorm.weight"
    assert f"rank_0-31_4.ckpt: {name}: it has no counterpart among the names of glm" in str(error)


def test_an_adapter_is_to_be_added_first(tmp_path: Path) -> None:
    """Its name would be none of the model's."""
    stem = f"{LAYER}.self_attention.query_key_value"
    weights = Glm().mindformers() | {f"{stem}.mindpet_delta_lora_a": np.ones((2, 6), "float32")}
    assert "--lora merge" in str(refused(weights, tmp_path))


@pytest.mark.parametrize(
    "name",
    (
        "transformer.embedding.embedding_weight",
        "transformer.output_layer.weight",
        "transformer.encoder.final_layernorm.weight",
        "transformer.encoder.layers.1.mlp.dense_h_to_4h.weight",
        "transformer.encoder.layers.1.self_attention.query_key_value.bias",
        "transformer.encoder.layers.0.self_attention.dense.weight",
    ),
)
def test_a_missing_weight_is_refused(tmp_path: Path, name: str) -> None:
    """Transformers would make up random numbers for it, with a warning."""
    weights = Glm().mindformers()
    del weights[name]
    error = refused(weights, tmp_path)
    assert (error.code, f"rank_0-31_4.ckpt: {name}: it is missing" in str(error)) == (Code.NO_COUNTERPART, True)


def test_a_layer_without_a_number_of_its_own_is_missing(tmp_path: Path) -> None:
    """Half of a pipeline looks like this."""
    weights = {name: each for name, each in Glm(layers=3).mindformers().items() if ".layers.1." not in name}
    assert "transformer.encoder.layers.1." in str(refused(weights, tmp_path))


def test_glm_6b_is_refused_by_its_name(tmp_path: Path) -> None:
    """It comes later; its names are not those of ChatGLM2."""
    error = refused({"transformer.word_embeddings.embedding_table": np.ones((4, 4), "float32")}, tmp_path)
    assert isinstance(error, UnsupportedLayoutError)
    assert "it is a GLM-6B's" in str(error)


def test_shapes_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """With both names."""
    name = f"{LAYER}.mlp.dense_h_to_4h.weight"
    weights = Glm().mindformers() | {name: np.ones((12, 6), "float32")}
    assert f"{name}: it makes model.layers.0.mlp.gate_up_proj.weight [12, 6], but" in str(refused(weights, tmp_path))


def test_parts_of_different_types_are_not_joined(tmp_path: Path) -> None:
    """Which would need a conversion that nobody asked for."""
    name = f"{LAYER}.mlp.dense_right.weight"
    weights = Glm(mlp_concat=False).mindformers() | {name: np.ones((5, 6), "float16")}
    assert f"{name}: it is Float16, but" in str(refused(weights, tmp_path))


@pytest.mark.parametrize(
    ("said", "what"),
    (
        ({"layers": 3}, "num_layers is 3, but in the weights it is 2"),
        ({"hidden": 7}, "hidden_size is 7, but in the weights it is 6"),
        ({"ffn": 7}, "ffn_hidden_size is 7, but in the weights it is 5"),
        ({"vocabulary": 7}, "padded_vocab_size is 7, but in the weights it is 12"),
        ({"bias": False}, "add_qkv_bias is False, but in the weights it is True"),
        ({"tied": True}, "tie_word_embeddings is True, but in the weights it is False"),
        (
            {"heads": 3, "head_size": 4},
            "num_attention_heads is 3, of 4 rows each, but the weights' queries have 8 rows",
        ),
        (
            {"groups": 2, "head_size": 4},
            "multi_query_group_num is 2, of 4 rows each, but the weights' keys have 4 rows",
        ),
    ),
)
def test_what_is_said_of_the_weights_must_be_so(tmp_path: Path, said: dict[str, int], what: str) -> None:
    """By key and value, in the words of the file."""
    error = refused(Glm().mindformers(), tmp_path, Network(where="c.json", said=KeyStyle.CHATGLM, **said))
    assert error.code == Code.BASE_UNFIT
    assert str(error).startswith(f"c.json: {what}")


def test_two_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """As a base model with other wave lengths of positions, of which no weight tells."""
    base = Network(where="config.json", said=KeyStyle.GLM, rope_ratio=500.0)
    run = Network(where="run.yaml", said=KeyStyle.MINDFORMERS, rope_ratio=1.0)
    error = refused(Glm().mindformers(), tmp_path, base, run)
    expected = "config.json: rope_theta / 10000 is 500.0, but run.yaml: rope_ratio is 1.0"
    assert (error.code, str(error).startswith(expected)) == (Code.BASE_UNFIT, True)


def test_rows_are_not_put_back_by_guess(tmp_path: Path) -> None:
    """Where they were moved, the size of a head must be known, and fit."""
    weights = Glm(rearranged=True).mindformers()
    error = refused(weights, tmp_path, Network(where="run.yaml", said=KeyStyle.MINDFORMERS, rearranged=True))
    assert (error.code, "give it kv_channels" in str(error)) == (Code.NETWORK_UNKNOWN, True)
    unfit = Network(where="run.yaml", said=KeyStyle.MINDFORMERS, rearranged=True, head_size=6)
    assert "heads of 6 rows cannot be rearranged" in str(refused(weights, tmp_path / "unfit", unfit))


@pytest.mark.parametrize("names", Names)
def test_parts_share_their_rows_as_dense_says(tmp_path: Path, names: Names) -> None:
    """Also where they make as many together, and rows are to be put back."""
    glm = Glm(qkv_concat=False, rearranged=True)
    weights = glm.mindformers()
    stem = f"{LAYER}.self_attention"
    weights[f"{stem}.wq.weight"], weights[f"{stem}.wk.weight"] = (
        weights[f"{stem}.w{letter}.weight"] for letter in "kq"
    )
    run = run_of(weights, tmp_path / "output")
    with pytest.raises(InconsistentError, match=rf"{stem}\.wq\.weight: it has shape \[4, 6\], but"):
        merged(run, tmp_path / "merged", HuggingFace(names, (rearranged(glm),)))
