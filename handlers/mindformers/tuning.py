"""Parameter-efficient tuning in MindFormers, its `pet`: where a YAML asks for it, and what comes of each kind.

Read in the branches r0.6 to r1.8.0: models/{glm/glm,glm2/glm2,gpt2/gpt2,llama/llama}.py up to 0.7, auto_class.py and
models/build_model.py after it; pet/{pet_config,pet_model,constants}.py and pet/models/lora.py.
"""

from dataclasses import dataclass

from handlers.mindformers.version import Version

LORA = "lora"
KINDS = (LORA, "prefixtuning", "ptuning2")
"""The pet_types that train a few parameters of their own beside a frozen network. Of another one, 0.8 ends at once, and
1.0 on trains the whole network."""

LORA_RANK, LORA_ALPHA = 8, 16
"""What LoraConfig takes where a file does not say it; up to 0.7 the layers are made without it, and fail."""

TARGETS_SINCE = Version(0, 8)
"""From here on `target_modules` says which layers get adapters; before, each model class knows its own."""

STRATEGY_OF_ALL_SINCE = Version(0, 8)
"""The first version that is always with a MindSpore that has `strategy_ckpt_config.only_trainable_params`, 2.0."""


@dataclass(frozen=True)
class Form:
    """A way of asking for it: keys, from the top of the file."""

    section: tuple[str, ...]
    """Of the mapping with pet_type."""
    settings: tuple[str, ...] = ()
    """From there to the mapping with lora_rank and lora_alpha."""
    before: Version | None = None
    """The first version that does not read it."""


FORMS = (
    Form(("model", "model_config", "pet_config")),
    Form(("model", "model_config", "pet"), ("pet_config",), before=Version(0, 7)),
    Form(("model", "arch", "pet"), ("pet_config",), before=Version(0, 7)),
)
"""Every model reads the first from 0.7 on, and GPT-2 in 0.6, when GLM and Llama take the last. The second is what
people have written for 0.6; no branch that was read looks there."""

READ_NOWHERE = (
    ("pet_config",),
    ("pet",),
    ("model", "pet_config"),
    ("model", "pet"),
    ("model", "arch", "pet_config"),
)
"""Places close by that no version looks at."""
