"""How much disk a GLM training will fill, from the sizes in its configuration."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.entry import Family
from handlers.codes import Code
from handlers.mindformers.models import CHATGLM2, GLM
from handlers.mindformers.tuning import LORA, LORA_RANK
from handlers.records.checked import DiskLook
from handlers.validate.document import Place
from handlers.validate.glmd_section import MergeWish
from handlers.validate.lora_config import adapters
from handlers.validate.mindformers_rules import Parallel, whole
from handlers.validate.problem import Findings, Problem, quoted
from handlers.validate.saving_rules import Saving
from handlers.validate.spots import at, spot

_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
_DEFAULTS = {
    "vocab_size": 130528,
    "hidden_size": 4096,
    "num_layers": 28,
    "inner_hidden_size": 16384,
}
"""GLMConfig's own, in MindFormers 0.8."""
_DEFAULTS_OF_CHATGLM2 = {
    "num_layers": 28,
    "padded_vocab_size": 65024,
    "hidden_size": 4096,
    "ffn_hidden_size": 13696,
    "kv_channels": 128,
    "num_attention_heads": 32,
    "multi_query_group_num": 2,
}
"""ChatGLM2Config's own, in MindFormers 1.9."""
_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


@dataclass(frozen=True)
class Sizes:
    """Bytes of one model's weights, of its optimizer state, and of both in one rank's shard."""

    weights: int
    state: int
    shard: int
    shard_weights: int


def check_disk(
    root: Place, parallel: Parallel, saving: Saving, wish: MergeWish, disk: Path | None, findings: Findings
) -> None:
    """Find out what the shards and the merged files need, and whether they fit on the file system of `disk` now.

    Needed are ranks × (kept + 1) × shard, one more shard's weights a rank where the callback writes these, and what is
    merged of them. Ranks that leave out what others save write together what one replica would; where all hold the
    whole network, that is once more united when one of them is resumed.
    Where the architecture is not known there is a warning instead. Without `disk` there is room enough.
    """
    model = root.get("model", "model_config")
    if model is None or not parallel.ranks:
        return
    sizes = glm_sizes(model, parallel) or chatglm2_sizes(model, parallel)
    if sizes is None and disk is None:
        return
    if sizes is None:
        kind = model.get("type")
        message = f"how large the shards of {quoted(kind.data if kind else None)} will be is not known"
        findings.warnings.append(
            (kind or model).problem(Code.CONFIG_DISK_NOT_CHECKED, message, "free disk was not checked")
        )
        return
    ranks = parallel.ranks
    shard = sizes.shard if saving.has_optimizer else sizes.shard_weights
    writers = ranks // _replicas(parallel) if saving.is_shared_out else ranks
    shards = writers * (saving.kept + 1) * shard
    network = ranks * sizes.shard_weights if saving.network else 0
    merged = sizes.weights + sizes.state * (Family.OPTIMIZER in wish.kept)
    merged += sizes.weights * len(set(wish.kept) - set(Family))  # copies of the weights, which no list names
    merged += (sizes.weights + sizes.state) * wish.transformed
    is_united = saving.is_shared_out and not (saving.is_iteration or parallel.by_strategy)
    united = shard if is_united else 0
    needed = shards + network + united + merged
    whose = f"{writers} without replicas" if saving.is_shared_out else f"{ranks} ranks"
    terms = f"{whose} × ({saving.kept} kept + 1) × {in_words(shard)} = {in_words(shards)}"
    terms += f", {in_words(network)} of weights alone" if network else ""
    terms += f", {in_words(united)} united to resume from" if united else ""
    look = DiskLook(bytes=needed, terms=f"{terms}, {in_words(merged)} merged", at=spot(saving.place))
    findings.looks.append(look)
    if disk is None:
        return
    if _free(disk) is None:
        message = f"free disk was not checked: {disk} cannot be asked"
        findings.warnings.append(saving.place.problem(Code.CONFIG_DISK_NOT_CHECKED, message))
    elif problem := too_little(look, disk):
        findings.problems.append(problem)


def _replicas(parallel: Parallel) -> int:
    """Return how many ranks hold the same slices."""
    alike = parallel.data * parallel.context if parallel.by_strategy else parallel.ranks
    return alike if parallel.ranks % alike == 0 else 1


def too_little(look: DiskLook, disk: Path) -> Problem | None:
    """Return what is wrong with the space that is free below `disk` now."""
    free = _free(disk)
    if free is None or look.bytes <= free:
        return None
    hint = f"{look.terms}; {disk} has {in_words(free)} free"
    return at(look.at, Code.CONFIG_DISK_SPACE, f"needs about {in_words(look.bytes)} of disk", hint)


def glm_sizes(model: Place, parallel: Parallel) -> Sizes | None:
    """Return the sizes of a GLMConfig, or None for another architecture or other adapters than LoRA's.

    As MindFormers 0.8 has it: 12 parameters a layer; embedding and layernorms are float32 whatever the rest is; Adam
    keeps two float32 moments of every trainable parameter; model parallelism cuts all but layernorms and some biases.
    Pipeline stages have a part of the layers each, on average, and accumulate a gradient of every trainable parameter.
    """
    kind, asked = model.get("type"), adapters(model.document.root)
    if kind is None or kind.data != GLM.config or (asked and asked.kind and asked.kind.data != LORA):
        return None
    quiet = Findings()
    vocab, hidden, layers, inner = (whole(model, key, default, quiet) for key, default in _DEFAULTS.items())
    written = model.get("param_init_type")
    itemsize = _BYTES.get(str(written.data), 4) if written else 2
    embedding = vocab * hidden
    head = vocab * hidden
    matrices = layers * (4 * hidden * hidden + 2 * hidden * inner)  # query_key_value, dense; to 4h, back to h
    split_biases = layers * (3 * hidden + inner)
    whole_biases = layers * 2 * hidden
    norms = (2 * layers + 1) * 2 * hidden
    rank = whole(asked.settings, "lora_rank", LORA_RANK, quiet) if asked and asked.section.data else 0
    lora = layers * 4 * hidden * rank  # on query_key_value: a is rank × hidden, b is 3 hidden × rank

    cut = parallel.model if parallel.by_strategy else 1
    weights = 4 * (embedding + norms + lora) + itemsize * (head + matrices + split_biases + whole_biases)
    shard_weights = (4 * embedding + itemsize * (head + matrices + split_biases)) // cut
    shard_weights += 4 * (norms + lora) + itemsize * whole_biases
    split, kept_whole = embedding + head + matrices + split_biases, norms + whole_biases
    state = 2 * 4 * (lora if rank else split + kept_whole)
    shard_state = state if rank else 2 * 4 * (split // cut + kept_whole)
    if parallel.by_strategy and parallel.stages > 1:
        state, shard_state = state * 3 // 2, shard_state * 3 // 2
        shard_weights, shard_state = shard_weights // parallel.stages, shard_state // parallel.stages
    return Sizes(weights, state, shard_weights + shard_state, shard_weights)


def chatglm2_sizes(model: Place, parallel: Parallel) -> Sizes | None:
    """Return the sizes of a ChatGLM2Config (GLM-2 to 4); None for another architecture, or other adapters than LoRA's.

    As MindFormers 1.9 has it, models/glm2: all is of param_init_type, Adam keeps two float32 moments of what is
    trained, and model parallelism cuts all but norms. Of a LoRA run nobody knows which matrices its expression names,
    so that those of the attention count.
    """
    kind, asked = model.get("type"), adapters(model.document.root)
    if kind is None or kind.data != CHATGLM2.config or (asked and asked.kind and asked.kind.data != LORA):
        return None
    quiet = Findings()
    sizes = {key: whole(model, key, default, quiet) for key, default in _DEFAULTS_OF_CHATGLM2.items()}
    layers, hidden, heads = sizes["num_layers"], sizes["hidden_size"], sizes["num_attention_heads"]
    attention = heads * sizes["kv_channels"]
    shared = model.get("multi_query_attention")
    groups = sizes["multi_query_group_num"] if shared is None or shared.data is True else heads
    qkv = attention + 2 * groups * sizes["kv_channels"]
    matrices = layers * (hidden * qkv + qkv + attention * hidden + 3 * hidden * sizes["ffn_hidden_size"])
    tables, norms = 2 * sizes["padded_vocab_size"] * hidden, (2 * layers + 1) * hidden
    rank = whole(asked.settings, "lora_rank", LORA_RANK, quiet) if asked and asked.section.data else 0
    lora = layers * rank * (hidden + qkv)
    written = model.get("param_init_type")
    itemsize = _BYTES.get(str(written.data), 4) if written else 2

    cut, stages = (parallel.model, parallel.stages) if parallel.by_strategy else (1, 1)
    weights = itemsize * (matrices + tables + norms) + 4 * lora
    shard_weights = (itemsize * ((matrices + tables) // cut + norms) + 4 * lora) // stages
    state = 2 * 4 * (lora or matrices + tables + norms)
    shard_state = 2 * 4 * (lora or (matrices + tables) // cut + norms) // stages
    if stages > 1:  # gradients are added up
        state, shard_state = state * 3 // 2, shard_state * 3 // 2
    return Sizes(weights, state, shard_weights + shard_state, shard_weights)


def in_words(size: int) -> str:
    """Return a number of bytes as `13.4 GB`, in powers of ten."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _free(disk: Path) -> int | None:
    """Return the free bytes of the file system that holds, or will hold, `disk`."""
    for directory in (disk, *disk.parents):
        try:
            return shutil.disk_usage(directory).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
