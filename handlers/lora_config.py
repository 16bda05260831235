"""What a run's MindFormers YAML says of its LoRA adapters, in `model.model_config.pet_config`."""

import math
from pathlib import Path

from handlers.ckpt.lora import LoraScale
from handlers.validate.document import Place, parse
from handlers.validate.mindformers_rules import whole
from handlers.validate.problem import ConfigError, Findings, quoted

_HINT = "merging scales the adapters by lora_alpha / lora_rank, and a default may differ from the training's"


def pet_config(root: Place) -> Place | None:
    """Return the section about parameter-efficient tuning; None where the whole network is trained."""
    return root.get("model", "model_config", "pet_config")


def read_scale(root: Place, findings: Findings) -> LoraScale | None:
    """Return how strongly the adapters count; None (a problem then) where it is not said."""
    pet = pet_config(root)
    if pet is None:
        hint = "it would say pet_type: lora, lora_alpha and lora_rank: was the whole network trained?"
        findings.problems.append((root.get("model", "model_config") or root).missing("pet_config", hint))
        return None
    kind = pet.get("pet_type")
    if kind is None or kind.data != "lora":
        findings.problems.append(
            kind.problem(f"{quoted(kind.data)} is not lora", "only LoRA adapters can be merged into their weights")
            if kind
            else pet.missing("pet_type", "lora")
        )
        return None
    alpha, rank = _alpha(pet, findings), _rank(pet, findings)
    return LoraScale(alpha, rank) if alpha and rank else None


def _alpha(pet: Place, findings: Findings) -> float:
    place = pet.get("lora_alpha")
    if place is None:
        findings.problems.append(pet.missing("lora_alpha", _HINT))
        return 0
    alpha = place.data
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
        findings.problems.append(place.problem(f"{quoted(alpha)} is not a number above 0"))
        return 0
    return float(alpha)


def _rank(pet: Place, findings: Findings) -> int:
    if pet.get("lora_rank") is None:
        findings.problems.append(pet.missing("lora_rank", _HINT))
        return 0
    return whole(pet, "lora_rank", 0, findings)


def read_lora_config(path: Path) -> LoraScale:
    """Return what the YAML at `path` says; raises ConfigError, with lines and columns, and OSError."""
    document = parse(path.read_bytes(), str(path))
    findings = Findings([*document.problems])
    scale = read_scale(document.root, findings)
    if scale is None or findings.problems:
        raise ConfigError(str(path), findings.problems)
    return scale
