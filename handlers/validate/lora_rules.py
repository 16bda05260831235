"""What a LoRA run must say so that it trains, and so that what it saves can be merged as asked.

Read in the sources of MindFormers 0.8.
"""

import re

from handlers.ckpt.lora import Lora, LoraScale
from handlers.lora_config import pet_config, read_scale
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.input_paths import check_readable
from handlers.validate.mindformers_rules import Parallel
from handlers.validate.problem import Findings, quoted


def check_adapters(root: Place, findings: Findings) -> None:
    """Find what ends MindFormers' LoraModel before it trains: no target_modules, or no regular expression in it."""
    pet = pet_config(root)
    if pet is None or (kind := pet.get("pet_type")) is None or kind.data != "lora":
        return
    target = pet.get("target_modules")
    if target is None:
        hint = "a regular expression for the names of the layers that get adapters, as '.*query_key_value*'"
        findings.problems.append(pet.missing("target_modules", hint))
        return
    if not isinstance(target.data, str):
        findings.problems.append(target.problem(f"{quoted(target.data)} is no regular expression", "put it in quotes"))
        return
    try:
        re.compile(target.data)
    except re.error as error:
        findings.problems.append(target.problem(f"{quoted(target.data)} is no regular expression", str(error)))


def check_lora(root: Place, section: GlmdSection, parallel: Parallel, findings: Findings) -> LoraScale | None:
    """Find what the merge would refuse; return how strongly the adapters count, where they are to be merged."""
    wish = section.merge
    if place := root.get(KEY, "merge", "layout_from"):
        check_readable(place, findings)
    pet = pet_config(root)
    if pet is None:
        if wish.lora is not Lora.KEEP:
            message = f"{quoted(wish.lora)} is for a LoRA run, and the file has no pet_config"
            findings.problems.append(root[KEY]["merge"]["lora"].problem(message, "leave it out, or write pet_config"))
        return None
    whole = wish.lora is not Lora.ONLY or wish.transformed
    if whole and wish.layout_from is None and parallel.by_strategy and parallel.model > 1:
        # Its strategy files name the trainable parameters only: nothing says how the frozen ones were cut.
        message = f"with model_parallel {parallel.model} nothing says how the frozen weights are cut"
        hint = (
            "give `glmd: merge: layout_from`, a strategy file of a full run of the same network and layout; or take "
            "`lora: only`, or parallel_mode: 0"
        )
        findings.problems.append(pet.problem(message, hint))
    return read_scale(root, findings) if wish.lora is Lora.MERGE else None
