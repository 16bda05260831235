"""What a run's MindFormers YAML says of its adapters, in whichever form its version of MindFormers reads them."""

import math
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.planning.lora import LoraScale
from handlers.codes import Code
from handlers.mindformers.tuning import FORMS, LORA, LORA_ALPHA, LORA_RANK, Form
from handlers.validate.document import Place, parse
from handlers.validate.mindformers_rules import whole
from handlers.validate.problem import ConfigError, Findings, quoted

_HINT = (
    "merging scales the adapters by lora_alpha / lora_rank, and a default may differ from the training's; MindFormers "
    "0.8 to 1.8 take {} if the file says nothing: write it down if you mean that"
)


@dataclass(frozen=True)
class Adapters:
    """What a file asks for: parameters that are trained beside a frozen network."""

    form: Form
    section: Place
    """The mapping that asks for it, as `model.model_config.pet_config`."""

    @property
    def settings(self) -> Place | None:
        """The mapping with rank and alpha; None where the form has one of its own and the file does not."""
        return self.section.get(*self.form.settings)

    @property
    def kind(self) -> Place | None:
        """The pet_type."""
        settings = self.settings
        return self.section.get("pet_type") or (settings and settings.get("pet_type"))


def adapters(root: Place) -> Adapters | None:
    """Return what the file asks for; None where the whole network is trained."""
    found = ((form, root.get(*form.section)) for form in FORMS)
    return next((Adapters(form, section) for form, section in found if section is not None), None)


def read_scale(root: Place, findings: Findings) -> LoraScale | None:
    """Return how strongly the adapters count; None (a problem then) where it is not said."""
    asked = adapters(root)
    if asked is None:
        hint = "it would have pet_type: lora, lora_alpha and lora_rank: did you train the whole network?"
        findings.problems.append((root.get("model", "model_config") or root).missing("pet_config", hint))
        return None
    kind, settings = asked.kind, asked.settings
    if kind is None:
        findings.problems.append(asked.section.missing("pet_type", LORA))
        return None
    if kind.data != LORA:
        hint = "only LoRA adapters can be merged into their weights"
        findings.problems.append(kind.problem(Code.CONFIG_LORA, f"{quoted(kind.data)} is not lora", hint))
        return None
    if settings is None:
        findings.problems.append(asked.section.missing("pet_config", "lora_rank and lora_alpha stand in it"))
        return None
    alpha, rank = _alpha(settings, findings), _rank(settings, findings)
    return LoraScale(alpha, rank) if alpha and rank else None


def _alpha(settings: Place, findings: Findings) -> float:
    place = settings.get("lora_alpha")
    if place is None:
        findings.problems.append(settings.missing("lora_alpha", _HINT.format(LORA_ALPHA)))
        return 0
    alpha = place.data
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
        findings.problems.append(place.problem(Code.CONFIG_NUMBER, f"{quoted(alpha)} is not a number above 0"))
        return 0
    return float(alpha)


def _rank(settings: Place, findings: Findings) -> int:
    if settings.get("lora_rank") is None:
        findings.problems.append(settings.missing("lora_rank", _HINT.format(LORA_RANK)))
        return 0
    return whole(settings, "lora_rank", 0, findings)


def read_lora_config(path: Path) -> LoraScale:
    """Return what the YAML at `path` says; raises ConfigError, with lines and columns, and OSError."""
    document = parse(path.read_bytes(), str(path))
    findings = Findings([*document.problems])
    scale = read_scale(document.root, findings)
    if scale is None or findings.problems:
        raise ConfigError(str(path), findings.problems)
    return scale
