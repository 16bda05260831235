"""What is said of a GLM: its sizes, in a config.json of Hugging Face's or in a YAML of MindFormers'.

Each calls them by names of its own, in which messages speak. Read in transformers 5.24 (models/glm), in the
configuration_chatglm.py of chatglm2-6b to glm-4-9b, and in MindFormers 1.9 (models/glm2/glm2_config.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import InconsistentError


class Names(StrEnum):
    """What Hugging Face's models call their parameters."""

    GLM = "glm"
    """transformers' own class, as of glm-4-9b-chat-hf."""
    CHATGLM = "chatglm"
    """The code that comes with chatglm2-6b, chatglm3-6b and glm-4-9b."""


class KeyStyle(StrEnum):
    """Whose keys are used."""

    GLM = Names.GLM.value
    CHATGLM = Names.CHATGLM.value
    MINDFORMERS = "mindformers"


_CHATGLM = {
    "layers": "num_layers",
    "hidden": "hidden_size",
    "ffn": "ffn_hidden_size",
    "vocabulary": "padded_vocab_size",
    "heads": "num_attention_heads",
    "groups": "multi_query_group_num",
    "head_size": "kv_channels",
    "bias": "add_qkv_bias",
    "tied": "tie_word_embeddings",
    "epsilon": "layernorm_epsilon",
    "rope_ratio": "rope_ratio",
}
KEYS: Mapping[KeyStyle, Mapping[str, str]] = {
    KeyStyle.GLM: {
        "layers": "num_hidden_layers",
        "hidden": "hidden_size",
        "ffn": "intermediate_size",
        "vocabulary": "vocab_size",
        "heads": "num_attention_heads",
        "groups": "num_key_value_heads",
        "head_size": "head_dim",
        "bias": "attention_bias",
        "tied": "tie_word_embeddings",
        "epsilon": "rms_norm_eps",
        "rope_ratio": "rope_theta / 10000",
    },
    KeyStyle.CHATGLM: _CHATGLM,
    KeyStyle.MINDFORMERS: _CHATGLM | {"rearranged": "use_rearrange_rope"},
}
"""The key of each field of Network."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """What one file says of a GLM; None is what it does not say."""

    where: str
    """The file."""
    said: KeyStyle
    layers: int | None = None
    hidden: int | None = None
    ffn: int | None = None
    """Columns of what leads back from the feed-forward part; twice as many rows lead into it."""
    vocabulary: int | None = None
    heads: int | None = None
    groups: int | None = None
    """Heads of the keys, and of the values."""
    head_size: int | None = None
    bias: bool | None = None
    """Whether queries, keys and values have one."""
    tied: bool | None = None
    """Whether the output layer is the embedding."""
    rearranged: bool | None = None
    """Whether each head of q and k has its even rows before the odd ones, as no file of Hugging Face's has."""
    epsilon: float | None = None
    rope_ratio: float | None = None

    def key(self, field: str) -> str:
        """Return what the file calls `field`, with the file."""
        return f"{self.where}: {KEYS[self.said][field]}"


_COMPARED = tuple(field.name for field in fields(Network) if field.name not in {"where", "said"})


def check_agreement(networks: Sequence[Network]) -> None:
    """Raise InconsistentError where two of `networks` contradict each other."""
    for number, one in enumerate(networks):
        for other in networks[number + 1 :]:
            for field in _COMPARED:
                first, second = getattr(one, field), getattr(other, field)
                if first is not None and second is not None and not math.isclose(first, second, rel_tol=1e-6):
                    raise InconsistentError(
                        f"{one.key(field)} is {first}, but {other.key(field)} is {second}: are they of one model?",
                        Code.BASE_UNFIT,
                    )


@dataclass(frozen=True)
class Sizes:
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
    tied: bool = False
    """The output layer is there, and who loads a tied one would leave it out."""


def check_sizes(sizes: Sizes, network: Network) -> None:
    """Raise InconsistentError where the weights are not as a file says."""
    for field in ("layers", "hidden", "vocabulary", "ffn", "bias", "tied"):
        expected, found = getattr(network, field), getattr(sizes, field)
        if expected is not None and expected != found:
            raise InconsistentError(
                f"{network.key(field)} is {expected}, but in the weights it is {found}: is it of another model?",
                Code.BASE_UNFIT,
            )
    for heads, rows, what in (("heads", sizes.queries, "queries"), ("groups", sizes.keys, "keys")):
        count, size = getattr(network, heads), network.head_size
        if count is not None and size is not None and count * size != rows:
            raise InconsistentError(
                f"{network.key(heads)} is {count}, of {size} rows each, but the weights' {what} have {rows} "
                "rows: is it of another model?"
                "",
                Code.BASE_UNFIT,
            )


def head_size(networks: Sequence[Network]) -> int | None:
    """Return how many rows a head has, if anybody says so."""
    return next((network.head_size for network in networks if network.head_size is not None), None)


def is_rearranged(networks: Sequence[Network]) -> bool:
    """Tell whether q and k were rearranged. MindFormers does so only where its YAML asks for it."""
    return any(network.rearranged for network in networks)
