"""Classes of MindFormers that not all its versions have, by the place in a YAML that names them.

Read in what is registered (`MindFormerRegister.register`) in the branches r0.6 to r1.8.0 and in the wheels of 1.9 and
2.1: what language models are trained with. Of a class that is not listed nothing is said; a checkout may bring its own.
"""

from collections.abc import Mapping
from enum import StrEnum

from handlers.mindformers.version import Lifetime, Version

Classes = Mapping[str, Lifetime]


class Kind(StrEnum):
    """What a class is, by the dotted key that names it in a training's YAML."""

    MODEL = "model.arch.type"
    MODEL_CONFIG = "model.model_config.type"
    OPTIMIZER = "optimizer.type"
    LEARNING_RATE = "lr_schedule.type"
    SCALE = "runner_wrapper.scale_sense.type"
    DATA_SET = "train_dataset_task.type"
    TOKENIZER = "train_dataset.tokenizer.type"
    CALLBACK = "callbacks.type"
    """Of each of them."""


_GONE_WITH_GLM_6B = Lifetime(before=Version(1, 5))
_GONE_WITH_SMALL_MODELS = Lifetime(before=Version(1, 6))
_LORA_BY_CLASS = Lifetime(before=Version(0, 8))
"""From then on pet_config makes adapters of any model."""
_HUGGING_FACE_NAMED = Lifetime(Version(1, 7))

CLASSES: Mapping[Kind, Classes] = {
    Kind.MODEL: {
        "GLMForPreTraining": _GONE_WITH_GLM_6B,
        "GLMChatModel": _GONE_WITH_GLM_6B,
        "GLMForPreTrainingWithLora": _LORA_BY_CLASS,
        "GLMChatModelWithLora": _LORA_BY_CLASS,
        "LlamaForCausalLMWithLora": _LORA_BY_CLASS,
        "ChatGLM2ForConditionalGeneration": Lifetime(Version(0, 7)),
        "ChatGLM2WithLora": Lifetime(Version(0, 7), Version(0, 8)),
        "ChatGLM2WithPtuning2": Lifetime(Version(1, 0)),
        "Glm4ForCausalLM": _HUGGING_FACE_NAMED,
        "Glm4MoeForCausalLM": _HUGGING_FACE_NAMED,
        "Qwen2ForCausalLM": Lifetime(Version(1, 5)),
        "Qwen3ForCausalLM": Lifetime(Version(1, 6)),
        "Qwen3MoeForCausalLM": Lifetime(Version(1, 6)),
        "DeepseekV3ForCausalLM": Lifetime(Version(1, 6)),
        "TeleChat2ForCausalLM": _HUGGING_FACE_NAMED,
    },
    Kind.MODEL_CONFIG: {
        "GLMConfig": _GONE_WITH_GLM_6B,
        "ChatGLM2Config": Lifetime(Version(0, 7)),
        "Glm4Config": _HUGGING_FACE_NAMED,
        "Glm4MoeConfig": _HUGGING_FACE_NAMED,
    },
    Kind.OPTIMIZER: {
        "FP32StateAdamWeightDecay": _GONE_WITH_SMALL_MODELS,
        "FusedAdamWeightDecay": _GONE_WITH_SMALL_MODELS,
        "Came": Lifetime(Version(1, 0)),
        "AdamW": Lifetime(Version(1, 2)),
        "PmaAdamW": Lifetime(Version(1, 7)),
        "Muon": Lifetime(Version(1, 8)),
    },
    Kind.LEARNING_RATE: {
        "CosineAnnealingLR": Lifetime(Version(1, 1)),
        "CosineAnnealingWarmRestarts": Lifetime(Version(1, 1)),
        "ConstantWithCoolDownLR": Lifetime(Version(1, 5)),
        "WarmUpStableDecayLR": Lifetime(Version(1, 6)),
        "WarmUpDecayLR": Lifetime(before=Version(1, 1)),
    },
    Kind.SCALE: {"AdaptiveLossScaleUpdateCell": Lifetime(Version(1, 0))},
    Kind.DATA_SET: {
        "GeneralDataset": Lifetime(Version(1, 1)),
        "MultiTurnDataset": Lifetime(Version(1, 1)),
        "MaskLanguageModelDataset": _GONE_WITH_SMALL_MODELS,
        "QuestionAnsweringDataset": _GONE_WITH_SMALL_MODELS,
        "TextClassificationDataset": _GONE_WITH_SMALL_MODELS,
        "TranslationDataset": _GONE_WITH_SMALL_MODELS,
    },
    Kind.TOKENIZER: {
        "ChatGLMTokenizer": _GONE_WITH_GLM_6B,
        "ChatGLM2Tokenizer": Lifetime(Version(0, 7)),
        "ChatGLM3Tokenizer": Lifetime(Version(1, 0)),
        "ChatGLM4Tokenizer": Lifetime(Version(1, 3)),
    },
    Kind.CALLBACK: {
        "CheckpointMointor": Lifetime(before=Version(1, 2)),
        "CheckpointMonitor": Lifetime(Version(1, 2)),
        "ObsMonitor": _GONE_WITH_SMALL_MODELS,
        "TrainingStateMonitor": Lifetime(Version(1, 5)),
        "StressDetectCallBack": Lifetime(Version(1, 5)),
        "SDCMonitor": Lifetime(Version(1, 6)),
    },
}

CHECKPOINT_CALLBACKS = ("CheckpointMointor", "CheckpointMonitor")
"""The names of the class that saves."""

ONLY_PREDICT = ("Glm4ForCausalLM", "Glm4MoeForCausalLM")
"""Models without a training: models/{glm4,glm4_moe}/modeling_*.py raise "Train mode is not supported"."""
