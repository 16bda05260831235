"""MindFormers' model classes: what they call their sizes, and which sizes model parallelism cuts.

Read in each class's `shard` calls and checks, in the branches r0.6 to r1.8.0: models/glm/{glm,attention,layers}.py
(gone after 1.3), models/glm2/{glm2,glm2_transformer,glm2_modules}.py (from 0.7 on), and
models/llama/{llama,llama_layer,llama_transformer}.py. Nothing is said here of a class whose source was not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.mindformers.version import Version


@dataclass(frozen=True)
class Cut:
    """A size of which each model parallel rank has an equal part."""

    key: str
    """In model_config."""
    since: Version | None = None
    """The first version that cuts it, or has it."""
    before: Version | None = None
    """The first version that no longer cuts it, or leaves it whole where it does not divide."""
    whole_with_vocab_emb_dp: bool = False
    """Whether `parallel_config.vocab_emb_dp: True`, which is the default, leaves it whole."""

    def counts(self, version: Version, *, vocab_emb_dp: bool) -> bool:
        """Return whether this version needs it to divide."""
        if (self.since is not None and version < self.since) or (self.before is not None and version >= self.before):
            return False
        return not (self.whole_with_vocab_emb_dp and vocab_emb_dp)


@dataclass(frozen=True)
class Heads:
    """That the hidden size is the heads' number times one head's size."""

    key: str
    own_size: str = ""
    """The key that gives a head its size, so that the hidden size need not divide; empty where there is none."""


@dataclass(frozen=True)
class Qkv:
    """A matrix of queries, keys and values side by side, which is cut as a whole."""

    heads: str
    groups: str
    """How many heads the keys and the values have, each, where `grouped` is True."""
    grouped: str
    head_size: str
    side_by_side: str
    """False makes three matrices of it."""
    defaults: Mapping[str, int]


@dataclass(frozen=True)
class Family:
    """Classes that share their sizes."""

    config: str
    """`model.model_config.type`."""
    architectures: frozenset[str]
    """`model.arch.type`."""
    cuts: tuple[Cut, ...]
    heads: Heads | None = None
    qkv: Qkv | None = None
    offsets_since: Version | None = None
    """The first version that takes an `offset` of layers for each pipeline stage."""
    otherwise_with: str = ""
    """The key that, when True, cuts the network in another way, of which nothing is said here."""


GLM = Family(
    config="GLMConfig",
    architectures=frozenset(
        {"GLMForPreTraining", "GLMChatModel", "GLMForPreTrainingWithLora", "GLMChatModelWithLora"},
    ),
    # glm.py sets vocab_emb_dp False for its embedding, whatever the file says; the head is cut as well.
    cuts=(Cut("num_heads"), Cut("hidden_size"), Cut("inner_hidden_size"), Cut("vocab_size")),
    heads=Heads("num_heads", own_size="hidden_size_per_attention_head"),
)
CHATGLM2 = Family(
    config="ChatGLM2Config",
    architectures=frozenset({"ChatGLM2ForConditionalGeneration", "ChatGLM2WithLora", "ChatGLM2WithPtuning2"}),
    cuts=(
        Cut("num_attention_heads"),
        Cut("ffn_hidden_size"),
        Cut("hidden_size", before=Version(1, 4)),  # the rows of `dense`; from then on its columns, the heads
        Cut("padded_vocab_size", before=Version(1, 2)),  # the head, even where the embedding is whole
    ),
    # multi_query_group_num alone need not divide: the stock fine-tuning YAML has 2 of them on 8 ranks.
    qkv=Qkv(
        heads="num_attention_heads",
        groups="multi_query_group_num",
        grouped="multi_query_attention",
        head_size="kv_channels",
        side_by_side="qkv_concat",
        defaults={"num_attention_heads": 32, "multi_query_group_num": 2, "kv_channels": 128},
    ),
    offsets_since=Version(1, 0),
)
LLAMA = Family(
    config="LlamaConfig",
    architectures=frozenset({"LlamaForCausalLM", "LlamaForCausalLMWithLora"}),
    cuts=(
        Cut("num_heads"),
        Cut("n_kv_heads", since=Version(0, 7)),
        Cut("hidden_size"),
        Cut("intermediate_size", since=Version(1, 0)),
        Cut("vocab_size", before=Version(1, 0), whole_with_vocab_emb_dp=True),
    ),
    heads=Heads("num_heads"),
    offsets_since=Version(0, 8),
    otherwise_with="use_3d_tensor_parallel",
)
FAMILIES = (GLM, CHATGLM2, LLAMA)

USUAL_SIZES = (
    "num_heads",
    "num_attention_heads",
    "hidden_size",
    "inner_hidden_size",
    "intermediate_size",
    "ffn_hidden_size",
)
"""What most classes cut. Vocabularies are not among them: many classes leave one whole that does not divide."""
LAYERS = "num_layers"
"""What the classes of FAMILIES call the number of layers."""
USUAL_LAYERS = (LAYERS, "num_hidden_layers")


def family_of(architecture: str | None, config: str | None) -> Family | None:
    """Return the family that `model.arch.type` and `model.model_config.type` name; None where it is not known.

    A file that names neither is taken for GLM's.
    """
    if architecture is None and config is None:
        return GLM
    for family in FAMILIES:
        if architecture in {None, *family.architectures} and config in {None, family.config}:
            return family
    return None
