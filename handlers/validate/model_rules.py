"""What a model's sizes must be for its layers to go over the stages, and its weights over the model parallel ranks."""

from handlers.codes import Code
from handlers.mindformers.models import LAYERS, USUAL_LAYERS, USUAL_SIZES, Family, Qkv, family_of
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.validate.document import Place
from handlers.validate.mindformers_rules import Parallel, whole
from handlers.validate.problem import Findings, quoted


def check_model(root: Place, parallel: Parallel, findings: Findings, version: Version = OF_GLM_6B) -> None:
    """Find what does not divide. What a class cuts that is not known is a warning at most."""
    model = root.get("model", "model_config")
    if model is None or not isinstance(model.data, dict):
        if (parent := root.get("model")) is not None and isinstance(parent.data, dict):
            findings.problems.append(parent.missing("model_config"))
        return
    # Models of Hugging Face's kind, from 1.6 on, are named as Hugging Face names them.
    architecture = root.get("model", "arch", "type") or model.get("architectures")
    family = family_of(_name(architecture), _name(model.get("type") or model.get("model_type")))
    if family is None or (family.otherwise_with and _is(model, family.otherwise_with, default=False)):
        if parallel.by_strategy:
            _warn_of_unknown(model, parallel, findings)
        return
    _check_family(root, model, family, parallel, findings, version)


def _check_family(
    root: Place, model: Place, family: Family, parallel: Parallel, findings: Findings, version: Version
) -> None:
    """Hold a model against what is known of its class."""
    sizes = {key: whole(model, key, 0, findings) for key in (*(cut.key for cut in family.cuts), LAYERS)}
    _check_heads(model, family, sizes, findings)
    if parallel.by_strategy:
        whole_vocabulary = _is(root.get("parallel_config"), "vocab_emb_dp", default=True)
        for cut in family.cuts:
            if cut.counts(version, vocab_emb_dp=whole_vocabulary) and (message := _uncut(sizes[cut.key], parallel)):
                findings.problems.append(model[cut.key].problem(Code.CONFIG_MODEL_CUT, *message))
        if family.qkv is not None:
            _check_qkv(model, family.qkv, parallel, findings)
        if 0 < sizes[LAYERS] < parallel.stages:
            findings.problems.append(
                model[LAYERS].problem(Code.CONFIG_PIPELINE_STAGES, _too_few(sizes[LAYERS], parallel))
            )
        if family.offsets_since is not None and version >= family.offsets_since:
            _check_offset(model, parallel, findings)


def _name(place: Place | None) -> str | None:
    """Return a class's name; None where there is none. What is no text is the name of no class that is known."""
    return None if place is None else str(place.data)


def _is(parent: Place | None, key: str, *, default: bool) -> bool:
    place = None if parent is None else parent.get(key)
    return place.data is True if place is not None else default


def _uncut(size: int, parallel: Parallel) -> tuple[str, str] | None:
    """Return what is wrong with a size, and why; None where it divides."""
    rest = size % parallel.model
    if not rest:
        return None
    return (
        f"{size} cannot be cut for model_parallel {parallel.model}",
        f"{size} / {parallel.model} leaves {rest}",
    )


def _too_few(layers: int, parallel: Parallel) -> str:
    return f"{layers} layers are fewer than pipeline_stage {parallel.stages}"


def _check_heads(model: Place, family: Family, sizes: dict[str, int], findings: Findings) -> None:
    if family.heads is None or (family.heads.own_size and model.get(family.heads.own_size) is not None):
        return
    heads, hidden = sizes[family.heads.key], sizes["hidden_size"]
    if heads and hidden % heads:
        message = f"{heads} heads do not divide hidden_size {hidden}"
        findings.problems.append(model[family.heads.key].problem(Code.CONFIG_MODEL_CUT, message))


def _check_qkv(model: Place, qkv: Qkv, parallel: Parallel, findings: Findings) -> None:
    """Find a matrix of queries, keys and values whose rows do not divide although the heads do."""
    heads, groups, size = (
        whole(model, key, qkv.defaults[key], findings) for key in (qkv.heads, qkv.groups, qkv.head_size)
    )
    if not _is(model, qkv.grouped, default=True):
        groups = heads
    rows = size * (heads + 2 * groups)
    if heads % parallel.model or not rows % parallel.model or not _is(model, qkv.side_by_side, default=True):
        return
    message = f"{rows} rows of queries, keys and values cannot be cut for model_parallel {parallel.model}"
    hint = f"{qkv.head_size} {size} × ({qkv.heads} {heads} + 2 × {qkv.groups} {groups}) leaves {rows % parallel.model}"
    findings.problems.append(
        (model.get(qkv.groups) or model.get(qkv.heads) or model).problem(Code.CONFIG_MODEL_CUT, message, hint)
    )


def _check_offset(model: Place, parallel: Parallel, findings: Findings) -> None:
    """Find offsets that are not one a stage; those of interleaved stages are lists of such lists."""
    offset = model.get("offset")
    if offset is None or (isinstance(offset.data, int) and not isinstance(offset.data, bool)):
        return
    if not isinstance(offset.data, list):
        findings.problems.append(
            offset.problem(Code.CONFIG_PIPELINE_STAGES, f"{quoted(offset.data)} is neither a number nor a list of them")
        )
        return
    lists = [offsets for offsets in offset.data if isinstance(offsets, list)] or [offset.data]
    for offsets in lists:
        if len(offsets) != parallel.stages:
            message = f"{len(offsets)} offsets do not fit pipeline_stage {parallel.stages}"
            findings.problems.append(
                offset.key_problem(Code.CONFIG_PIPELINE_STAGES, message, "there is one for each stage")
            )
            return


def _warn_of_unknown(model: Place, parallel: Parallel, findings: Findings) -> None:
    """Warn of what most classes could not cut. Values of other kinds are this class's own affair."""
    hint = "glmd does not know this class; if it cuts this, MindSpore fails when it compiles"
    for key in USUAL_SIZES:
        place = model.get(key)
        if place is not None and type(place.data) is int and (message := _uncut(place.data, parallel)):
            findings.warnings.append(place.problem(Code.CONFIG_MODEL_CUT, message[0], f"{message[1]}; {hint}"))
    for key in USUAL_LAYERS:
        place = model.get(key)
        if place is not None and type(place.data) is int and 0 < place.data < parallel.stages:
            findings.warnings.append(place.problem(Code.CONFIG_PIPELINE_STAGES, _too_few(place.data, parallel), hint))
