"""What a LoRA run must say so that it trains, and so that what it saves can be merged as asked."""

import re

from handlers.ckpt.planning.lora import Lora, LoraScale
from handlers.codes import Code
from handlers.mindformers.tuning import KINDS, LORA, READ_NOWHERE, STRATEGY_OF_ALL_SINCE, TARGETS_SINCE
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.input_paths import check_readable
from handlers.validate.lora_config import Adapters, adapters, read_scale
from handlers.validate.mindformers_rules import Parallel
from handlers.validate.problem import Findings, quoted
from handlers.validate.strategy_rules import names_frozen_weights


def check_adapters(root: Place, findings: Findings, version: Version = OF_GLM_6B) -> None:
    """Find what ends MindFormers' LoraModel before it trains, and adapters that are asked for and will not be made."""
    asked = adapters(root)
    if asked is None:
        for keys in READ_NOWHERE:
            if place := root.get(*keys):
                hint = "it is read as model.model_config.pet_config: the whole network will be trained"
                findings.warnings.append(
                    place.key_problem(Code.CONFIG_ADAPTERS_IGNORED, "MindFormers does not look here", hint)
                )
        return
    read = asked.form.before is None or version < asked.form.before
    if not read:
        message = f"MindFormers from {asked.form.before} on does not read this form"
        hint = "write model_config: pet_config: {pet_type: lora, lora_rank, lora_alpha, target_modules}"
        findings.warnings.append(asked.section.key_problem(Code.CONFIG_ADAPTERS_IGNORED, message, hint))
    kind = asked.kind
    if kind is not None and kind.data not in KINDS:
        hint = f"it makes adapters for {', '.join(KINDS)}; of another one glmd does not know what is trained"
        findings.warnings.append(
            kind.problem(Code.CONFIG_ADAPTERS_IGNORED, f"MindFormers has no model for {quoted(kind.data)}", hint)
        )
    if kind is not None and kind.data == LORA and asked.form.before is None and version >= TARGETS_SINCE:
        _check_targets(asked.section, findings)


def _check_targets(pet: Place, findings: Findings) -> None:
    """Find out whether `target_modules` is there, and a regular expression."""
    target = pet.get("target_modules")
    if target is None:
        hint = "a regular expression for the names of the layers that get adapters, as '.*query_key_value*'"
        findings.problems.append(pet.missing("target_modules", hint))
        return
    if not isinstance(target.data, str):
        findings.problems.append(
            target.problem(Code.CONFIG_LORA, f"{quoted(target.data)} is no regular expression", "put it in quotes")
        )
        return
    try:
        re.compile(target.data)
    except re.error as error:
        findings.problems.append(
            target.problem(Code.CONFIG_LORA, f"{quoted(target.data)} is no regular expression", str(error))
        )


def check_lora(
    root: Place, section: GlmdSection, parallel: Parallel, findings: Findings, version: Version = OF_GLM_6B
) -> LoraScale | None:
    """Find what the merge would refuse; return how strongly the adapters count, where they are to be merged."""
    wish = section.merge
    if place := root.get(KEY, "merge", "layout_from"):
        check_readable(place, findings)
    asked = adapters(root)
    if asked is None:
        if wish.lora is not Lora.KEEP:
            message = f"{quoted(wish.lora)} is for a LoRA run, and the file has no pet_config"
            findings.problems.append(
                root[KEY]["merge"]["lora"].problem(Code.CONFIG_LORA, message, "leave it out, or write pet_config")
            )
        return None
    frozen_too = wish.lora is not Lora.ONLY or wish.transformed
    if frozen_too and wish.layout_from is None and parallel.by_strategy and parallel.model > 1:
        _check_frozen(root, asked, parallel, findings, version)
    return read_scale(root, findings) if wish.lora is Lora.MERGE else None


def _check_frozen(root: Place, asked: Adapters, parallel: Parallel, findings: Findings, version: Version) -> None:
    """Find frozen weights that are cut and that no strategy file will name: by default only what is trained is named.

    Of a pet_type that is not known it is not known either whether anything is frozen.
    """
    if not asked.section.data or names_frozen_weights(root):
        return
    of_all = (
        "set `parallel: strategy_ckpt_config: {only_trainable_params: False}`, and the strategy files name them; or "
    )
    message = f"with model_parallel {parallel.model} nothing says how the frozen weights are cut"
    hint = (
        f"{of_all if version >= STRATEGY_OF_ALL_SINCE else ''}give `glmd: merge: layout_from`, a strategy file of a "
        "full run of the same network and layout; or take `lora: only`, or parallel_mode: 0"
    )
    known = asked.kind is None or asked.kind.data in KINDS
    (findings.problems if known else findings.warnings).append(
        asked.section.problem(Code.CONFIG_FROZEN_WEIGHTS, message, hint)
    )
