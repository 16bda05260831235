"""A small GLM-4 as Hugging Face's two kinds of code have it, and MindFormers' import of it, with numpy alone.

The import is what models/glm2/convert_weight.py of MindFormers 1.9 does: read there, and written anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handlers.ckpt import Network, walk
from handlers.ckpt.planning.network import KeyStyle
from tests.unit.handlers.ckpt.ckpt_writer import Array

TYPES = {"Float32": "float32", "Float16": "float16", "BFloat16": "uint16"}


@dataclass(frozen=True)
class Glm:
    """The sizes of a network, and how MindFormers keeps it."""

    layers: int = 2
    hidden: int = 6
    ffn: int = 5
    vocabulary: int = 12
    heads: int = 2
    groups: int = 1
    head_size: int = 4
    bias: bool = True
    qkv_concat: bool = True
    mlp_concat: bool = True
    rearranged: bool = False
    kind: str = "float32"

    @property
    def config(self) -> dict[str, object]:
        """Return config.json of transformers' own class."""
        return {
            "model_type": "glm",
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": self.ffn,
            "vocab_size": self.vocabulary,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "head_dim": self.head_size,
            "attention_bias": self.bias,
            "tie_word_embeddings": False,
            "partial_rotary_factor": 0.5,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "torch_dtype": self.kind,
        }

    @property
    def remote_config(self) -> dict[str, object]:
        """Return config.json of the code that comes with the model."""
        return {
            "model_type": "chatglm",
            "num_layers": self.layers,
            "hidden_size": self.hidden,
            "ffn_hidden_size": self.ffn,
            "padded_vocab_size": self.vocabulary,
            "num_attention_heads": self.heads,
            "multi_query_attention": True,
            "multi_query_group_num": self.groups,
            "kv_channels": self.head_size,
            "add_qkv_bias": self.bias,
            "layernorm_epsilon": 1e-5,
            "torch_dtype": self.kind,
        }

    def remote(self) -> dict[str, Array]:
        """Return the weights under the names of the code that comes with the model, each number of its own."""
        queries, keys = self.heads * self.head_size, self.groups * self.head_size
        shapes: dict[str, tuple[int, ...]] = {
            "transformer.embedding.word_embeddings.weight": (self.vocabulary, self.hidden),
            "transformer.encoder.final_layernorm.weight": (self.hidden,),
            "transformer.output_layer.weight": (self.vocabulary, self.hidden),
        }
        for number in range(self.layers):
            layer = f"transformer.encoder.layers.{number}"
            shapes |= {
                f"{layer}.input_layernorm.weight": (self.hidden,),
                f"{layer}.post_attention_layernorm.weight": (self.hidden,),
                f"{layer}.self_attention.query_key_value.weight": (queries + 2 * keys, self.hidden),
                f"{layer}.self_attention.dense.weight": (self.hidden, queries),
                f"{layer}.mlp.dense_h_to_4h.weight": (2 * self.ffn, self.hidden),
                f"{layer}.mlp.dense_4h_to_h.weight": (self.hidden, self.ffn),
            }
            if self.bias:
                shapes[f"{layer}.self_attention.query_key_value.bias"] = (queries + 2 * keys,)
        generator = np.random.default_rng(5)
        weights = {name: generator.standard_normal(dims).astype("float32") for name, dims in shapes.items()}
        if self.kind == "bfloat16":  # numpy has none: its bits
            return {name: (weight.view("uint32") >> 16).astype("uint16") for name, weight in weights.items()}
        return {name: weight.astype(self.kind) for name, weight in weights.items()}

    def own(self) -> dict[str, Array]:
        """Return the weights under the names of transformers' own class."""
        found: dict[str, Array] = {}
        names = {
            "transformer.embedding.word_embeddings": "model.embed_tokens",
            "transformer.encoder.final_layernorm": "model.norm",
            "transformer.output_layer": "lm_head",
            "transformer.encoder.layers.": "model.layers.",
            "self_attention.dense": "self_attn.o_proj",
            "mlp.dense_h_to_4h": "mlp.gate_up_proj",
            "mlp.dense_4h_to_h": "mlp.down_proj",
        }
        for remote, weight in self.remote().items():
            name = remote
            for old, new in names.items():
                name = name.replace(old, new)
            if "query_key_value" in name:
                for letter, part in zip("qkv", self._parts(weight), strict=True):
                    found[name.replace("self_attention.query_key_value", f"self_attn.{letter}_proj")] = part
            else:
                found[name] = weight
        return found

    def mindformers(self) -> dict[str, Array]:
        """Return what MindFormers' import makes of the weights."""
        found: dict[str, Array] = {}
        for remote, weight in self.remote().items():
            name = remote.replace("word_embeddings.weight", "embedding_weight")
            if "query_key_value" in name:
                q, k, v = self._parts(weight)
                if self.rearranged:
                    q, k = self._evens_first(q), self._evens_first(k)
                if self.qkv_concat:
                    found[name] = np.concatenate([q, k, v])
                else:
                    stems = ("wq", "wk", "wv")
                    found |= {name.replace("query_key_value", s): p for s, p in zip(stems, (q, k, v), strict=True)}
            elif "dense_h_to_4h" in name and not self.mlp_concat:
                left, right = np.split(weight, 2)
                found |= {name.replace("dense_h_to_4h", "dense_left"): left}
                found |= {name.replace("dense_h_to_4h", "dense_right"): right}
            else:
                found[name] = weight
        return found

    def _parts(self, weight: Array) -> list[Array]:
        queries, keys = self.heads * self.head_size, self.groups * self.head_size
        return np.split(weight, [queries, queries + keys])

    def _evens_first(self, weight: Array) -> Array:
        heads = weight.reshape(-1, self.head_size, *weight.shape[1:])
        return np.concatenate([heads[:, 0::2], heads[:, 1::2]], axis=1).reshape(weight.shape)


def same(found: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
    """Tell whether two hold the same names, shapes, types and bytes."""
    return found.keys() == expected.keys() and all(
        (each.shape, each.dtype, each.tobytes())
        == (expected[name].shape, expected[name].dtype, expected[name].tobytes())
        for name, each in found.items()
    )


def read(directory: Path) -> dict[str, Array]:
    """Return what the files hold; a bfloat16 as its bits."""
    found = {}
    for path in sorted(directory.glob("*.safetensors")):
        content = path.read_bytes()
        for name, entry in walk(path).entries.items():
            (extent,) = entry.extents
            kind = TYPES[entry.type]
            part = content[extent.offset : extent.offset + extent.length]
            found[name] = np.frombuffer(part, kind).reshape(entry.dims)
    return found


def rearranged(glm: Glm) -> Network:
    """Return what a YAML says of how rows were moved."""
    return Network(where="run.yaml", said=KeyStyle.MINDFORMERS, rearranged=glm.rearranged, head_size=glm.head_size)
