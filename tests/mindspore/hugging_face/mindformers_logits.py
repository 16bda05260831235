"""Runs in the environment of today's MindFormers: tiny ChatGLM2s with random weights, and what they answer.

    mindformers_logits.py CASES.json DIRECTORY

writes for each case NAME.weights.npz, NAME.ids.npy and NAME.logits.npy. ChatGLM2 does not run on a CPU as it is:
RmsNorm has no kernel there, the norm of small operators lacks its Cast, and BatchMatMul broadcasts nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mindspore
import numpy as np
from mindformers.models.glm2 import ChatGLM2Config, ChatGLM2ForConditionalGeneration, glm2_modules, glm2_transformer
from mindspore import ops

SEQUENCE = 16
glm2_modules.check_rmsnorm_big_kernel_valid = lambda: False


class Norm(glm2_modules.ChatGLM2RMSNorm):
    """MindFormers' norm of small operators, with the Cast that it calls."""

    def __init__(self, *words: object, **named: object) -> None:
        super().__init__(*words, **named)
        self.cast = ops.Cast()


class Rotary(glm2_modules.ChatGLM2RotaryEmbedding):
    """MindFormers' rotation with rearranged rows, with a product that broadcasts on a CPU."""

    def __init__(self, *words: object, **named: object) -> None:
        super().__init__(*words, **named)
        self.bmm_swap = self.k_bmm_swap = ops.matmul

    def shard(self, *words: object, **named: object) -> None:
        """Do nothing: one process has nothing to cut."""


glm2_transformer.ChatGLM2RMSNorm = Norm
glm2_transformer.ChatGLM2RotaryEmbedding = Rotary


def answer(name: str, options: dict[str, Any], directory: Path, generator: np.random.Generator) -> None:
    """Make a network, fill it with random weights, and write what it answers to random words."""
    network = ChatGLM2ForConditionalGeneration(
        ChatGLM2Config(
            batch_size=1,
            seq_length=SEQUENCE,
            compute_dtype="float32",
            param_init_type="float32",
            layernorm_compute_type="float32",
            rotary_dtype="float32",
            **options,
        )
    )
    network.set_train(False)
    weights = {}
    for parameter in network.get_parameters():
        if "_cache" in parameter.name:  # which no callback saves
            continue
        weight = generator.standard_normal(parameter.shape) * 0.3 + ("layernorm" in parameter.name)
        weights[parameter.name] = weight.astype(np.float32)
        parameter.set_data(mindspore.Tensor(weights[parameter.name]))
    ids = generator.integers(0, options["padded_vocab_size"], (1, SEQUENCE)).astype(np.int32)
    # Without flash attention its own mask is of uint8, of which -10000 times 1 is none on a CPU.
    mask = mindspore.Tensor(np.triu(np.ones((1, 1, SEQUENCE, SEQUENCE), np.float32), 1))
    (logits,) = network(mindspore.Tensor(ids), attention_mask=mask)
    np.savez(directory / f"{name}.weights.npz", **weights)
    np.save(directory / f"{name}.ids.npy", ids)
    np.save(directory / f"{name}.logits.npy", logits.asnumpy())


def main() -> None:
    """Do all cases."""
    cases, directory = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    mindspore.set_context(mode=mindspore.GRAPH_MODE, device_target="CPU")
    for number, (name, options) in enumerate(cases.items()):
        answer(name, options, directory, np.random.default_rng(number))


if __name__ == "__main__":
    main()
