"""Promises of planning.hf_base: a base model's configuration is taken or refused, and its weights stay."""

import json
from pathlib import Path

import pytest

from handlers.ckpt import (
    CkptError,
    Format,
    HuggingFace,
    InconsistentError,
    Manifest,
    Names,
    OutputOptions,
    merge,
    open_set,
    read_base,
    read_manifest,
    verify,
)
from handlers.ckpt.codes import Code
from handlers.ckpt.planning.network import KeyStyle
from tests.unit.handlers.ckpt.ckpt_writer import Run
from tests.unit.handlers.ckpt.glm2 import Glm

COPIED = {
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"a": 1}',
    "generation_config.json": b"{}",
    "tokenizer.model": bytes(range(256)),
    "chat_template.jinja": b"{{ messages }}",
    "modeling_chatglm.py": b"pass\n",
}
LEFT = {
    "model-00001-of-00002.safetensors": b"weights",
    "model.safetensors.index.json": b"{}",
    "pytorch_model.bin": b"weights",
    "pytorch_model.bin.index.json": b"{}",
    "manifest.json": b"of another output of glmd",
    ".gitattributes": b"",
    "README.md": b"# GLM",
}


def write_base(directory: Path, config: dict[str, object]) -> Path:
    """Write a base model's directory, with the files of the real ones."""
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    for name, content in {**COPIED, **LEFT}.items():
        (directory / name).write_bytes(content)
    return directory


def merged(tmp_path: Path, glm: Glm, base: Path, destination: str = "merged") -> Manifest:
    """Merge a network of one rank with this base model."""
    run = Run(tmp_path / "output", 1, tensors=glm.mindformers()).write()
    (tmp_path / destination).mkdir(exist_ok=True)
    read = read_base(base)
    wanted = HuggingFace(read.names, (read.network,), read)
    options = OutputOptions(Format.SAFETENSORS, hugging_face=wanted)
    return merge(open_set([run.shard(0)]).plan(keep=["weights"]), tmp_path / destination, options, force=True)


@pytest.mark.parametrize("names", Names)
def test_both_kinds_of_configuration_are_read(tmp_path: Path, names: Names) -> None:
    """Each by its own keys, to the same sizes."""
    glm = Glm()
    base = read_base(write_base(tmp_path, glm.config if names is Names.GLM else glm.remote_config))
    network = base.network
    assert (base.names, network.said) == (names, KeyStyle(names))
    assert (network.layers, network.hidden, network.ffn, network.vocabulary) == (2, 6, 5, 12)
    assert (network.heads, network.groups, network.head_size, network.bias) == (2, 1, 4, True)


@pytest.mark.parametrize(
    ("config", "ratio"),
    (
        ({"rope_theta": 5000000.0}, 500.0),
        ({"rope_theta": None, "rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 0.5}}, 1.0),
    ),
)
def test_the_wave_lengths_are_read_of_transformers_4_and_5(
    tmp_path: Path, config: dict[str, object], ratio: float
) -> None:
    """Which keep them in different places."""
    assert read_base(write_base(tmp_path, Glm().config | config)).network.rope_ratio == ratio


@pytest.mark.parametrize("names", Names)
def test_files_are_copied_but_weights_are_not(tmp_path: Path, names: Names) -> None:
    """Byte for byte; what is there besides are the weights, and the manifest, which names all of it."""
    glm = Glm()
    base = write_base(tmp_path / "base", glm.config if names is Names.GLM else glm.remote_config)
    manifest = merged(tmp_path, glm, base)
    there = {path.name: path.read_bytes() for path in (tmp_path / "merged").iterdir()}
    assert {name: there.get(name) for name in COPIED} == COPIED
    assert there["config.json"] == (base / "config.json").read_bytes()
    assert there.keys() == {*COPIED, "config.json", "model.safetensors", "manifest.json"}
    assert {each.name for each in manifest.side_files} == {*COPIED, "config.json"}
    assert read_manifest(tmp_path / "merged" / "manifest.json") == manifest


@pytest.mark.parametrize("key", ("torch_dtype", "dtype"))
def test_the_configuration_says_the_type_that_the_weights_have(tmp_path: Path, key: str) -> None:
    """Which is the training's, written as it is: the base model's may be another one."""
    config = {name: value for name, value in Glm().config.items() if name != "torch_dtype"} | {key: "bfloat16"}
    merged(tmp_path, Glm(kind="float16"), write_base(tmp_path / "base", config))
    assert json.loads((tmp_path / "merged" / "config.json").read_text()) == config | {key: "float16"}


def test_a_type_that_torch_s_models_have_not_is_refused(tmp_path: Path) -> None:
    """What config.json would say of it nobody knows."""
    glm = Glm(kind="float64")
    run = Run(tmp_path / "output", 1, tensors={n: w.astype("int32") for n, w in glm.mindformers().items()}).write()
    base = read_base(write_base(tmp_path / "base", Glm().config))
    wanted = HuggingFace(base.names, (base.network,), base)
    with pytest.raises(InconsistentError, match=r"config\.json: a model is of .*, but the weights are Int32"):
        merge(
            open_set([run.shard(0)]).plan(keep=["weights"]),
            tmp_path,
            OutputOptions(Format.SAFETENSORS, hugging_face=wanted),
        )


def test_verify_sees_what_happened_to_them(tmp_path: Path) -> None:
    """A model with another tokenizer answers nonsense."""
    merged(tmp_path, Glm(), write_base(tmp_path / "base", Glm().config))
    assert verify(tmp_path / "merged").ok
    (tmp_path / "merged" / "tokenizer.json").write_bytes(b"{ }")
    (tmp_path / "merged" / "tokenizer.model").unlink()
    assert [str(problem) for problem in verify(tmp_path / "merged").problems] == [
        "tokenizer.json: its content is not what was written",
        "tokenizer.model: it is missing",
    ]


def test_another_output_takes_them_away(tmp_path: Path) -> None:
    """What belonged to the one that is replaced does not stay beside the new one."""
    base = write_base(tmp_path / "base", Glm().config)
    merged(tmp_path, Glm(), base)
    (base / "tokenizer.model").unlink()
    merged(tmp_path, Glm(), base)
    assert not (tmp_path / "merged" / "tokenizer.model").exists()
    assert verify(tmp_path / "merged").ok


def test_a_base_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    """What is written is what the manifest says."""
    base = read_base(write_base(tmp_path, Glm().config))
    (tmp_path / "tokenizer.json").write_bytes(b"[]")
    with pytest.raises(InconsistentError, match=r"tokenizer\.json changed") as caught:
        [each.read() for each in base.files]
    assert caught.value.code == Code.CHANGED


@pytest.mark.parametrize(
    ("change", "what"),
    (
        (
            {"model_type": "llama"},
            "model_type is 'llama': glmd writes models of 'glm' (transformers' own) and 'chatglm'",
        ),
        ({"model_type": "glm4"}, "model_type is 'glm4'"),
        ({"model_type": ["glm"]}, "model_type is \"['glm']\""),
        ({"model_type": "chatglm", "position_encoding_2d": True}, "it is a GLM-6B's"),
        ({"quantization_config": {"bits": 4}}, "it has a quantization_config"),
        ({"partial_rotary_factor": 1.0}, "partial_rotary_factor is 1.0, but in MindFormers' GLM it is 0.5"),
        ({"rope_parameters": {"partial_rotary_factor": 1}}, "partial_rotary_factor is 1, but"),
        ({"hidden_size": "6"}, "hidden_size is '6', which it cannot be"),
        ({"hidden_size": True}, "hidden_size is 'True', which it cannot be"),
        ({"attention_bias": 1}, "attention_bias is '1', which it cannot be"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps is 'small', which it cannot be"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is 'nan', which it cannot be"),
        ({"rope_theta": 10**400}, "rope_theta is '1000"),
    ),
)
def test_what_cannot_be_the_base_is_refused(tmp_path: Path, change: dict[str, object], what: str) -> None:
    """With the file, the key and the value."""
    base = write_base(tmp_path, Glm().config | change)
    with pytest.raises(InconsistentError) as caught:
        read_base(base)
    assert caught.value.code == Code.BASE_UNFIT
    assert str(caught.value).startswith(f"{base / 'config.json'}: {what}")


@pytest.mark.parametrize("content", (b"", b"[]", b"\xff", b"{" * 100000))
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever it holds, the error is our own."""
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CkptError, match=r"config\.json"):
        read_base(tmp_path)


def test_a_directory_of_data_is_no_base(tmp_path: Path) -> None:
    """Which somebody might name by mistake: not everything in it is copied."""
    write_base(tmp_path, Glm().config)
    for number in range(101):
        (tmp_path / f"{number}.json").write_bytes(b"{}")
    with pytest.raises(InconsistentError, match="is it a model's directory"):
        read_base(tmp_path)


def test_no_base_is_no_configuration(tmp_path: Path) -> None:
    """A directory without config.json is not one."""
    with pytest.raises(InconsistentError, match="is not there: name the directory of the base model"):
        read_base(tmp_path)
