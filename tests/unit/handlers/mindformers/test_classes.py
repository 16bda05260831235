"""Which classes each version of MindFormers has, as registered in its sources."""

import pytest

from handlers.mindformers.classes import CHECKPOINT_CALLBACKS, CLASSES, ONLY_PREDICT, Kind
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import Version

VERSIONS = ("0.6", "0.7", "0.8", "1.0.2", "1.1", "1.2", "1.3.2", "1.5", "1.6", "1.7", "1.8", "1.9", "2.1")
# A column for each of VERSIONS.
HAS = {
    (Kind.MODEL, "GLMForPreTraining"): "xxxxxxx......",
    (Kind.MODEL, "GLMChatModel"): "xxxxxxx......",
    (Kind.MODEL, "GLMForPreTrainingWithLora"): "xx...........",
    (Kind.MODEL, "GLMChatModelWithLora"): "xx...........",
    (Kind.MODEL, "LlamaForCausalLMWithLora"): "xx...........",
    (Kind.MODEL, "ChatGLM2ForConditionalGeneration"): ".xxxxxxxxxxxx",
    (Kind.MODEL, "ChatGLM2WithLora"): ".x...........",
    (Kind.MODEL, "ChatGLM2WithPtuning2"): "...xxxxxxxxxx",
    (Kind.MODEL, "Glm4ForCausalLM"): ".........xxxx",
    (Kind.MODEL, "Glm4MoeForCausalLM"): ".........xxxx",
    (Kind.MODEL, "Qwen2ForCausalLM"): ".......xxxxxx",
    (Kind.MODEL, "Qwen3ForCausalLM"): "........xxxxx",
    (Kind.MODEL, "Qwen3MoeForCausalLM"): "........xxxxx",
    (Kind.MODEL, "DeepseekV3ForCausalLM"): "........xxxxx",
    (Kind.MODEL, "TeleChat2ForCausalLM"): ".........xxxx",
    (Kind.MODEL_CONFIG, "GLMConfig"): "xxxxxxx......",
    (Kind.MODEL_CONFIG, "ChatGLM2Config"): ".xxxxxxxxxxxx",
    (Kind.MODEL_CONFIG, "Glm4Config"): ".........xxxx",
    (Kind.MODEL_CONFIG, "Glm4MoeConfig"): ".........xxxx",
    (Kind.OPTIMIZER, "FP32StateAdamWeightDecay"): "xxxxxxxx.....",
    (Kind.OPTIMIZER, "FusedAdamWeightDecay"): "xxxxxxxx.....",
    (Kind.OPTIMIZER, "Came"): "...xxxxxxxxxx",
    (Kind.OPTIMIZER, "AdamW"): ".....xxxxxxxx",
    (Kind.OPTIMIZER, "PmaAdamW"): ".........xxxx",
    (Kind.OPTIMIZER, "Muon"): "..........xxx",
    (Kind.LEARNING_RATE, "CosineAnnealingLR"): "....xxxxxxxxx",
    (Kind.LEARNING_RATE, "CosineAnnealingWarmRestarts"): "....xxxxxxxxx",
    (Kind.LEARNING_RATE, "ConstantWithCoolDownLR"): ".......xxxxxx",
    (Kind.LEARNING_RATE, "WarmUpStableDecayLR"): "........xxxxx",
    (Kind.LEARNING_RATE, "WarmUpDecayLR"): "xxxx.........",
    (Kind.SCALE, "AdaptiveLossScaleUpdateCell"): "...xxxxxxxxxx",
    (Kind.DATA_SET, "GeneralDataset"): "....xxxxxxxxx",
    (Kind.DATA_SET, "MultiTurnDataset"): "....xxxxxxxxx",
    (Kind.DATA_SET, "MaskLanguageModelDataset"): "xxxxxxxx.....",
    (Kind.DATA_SET, "QuestionAnsweringDataset"): "xxxxxxxx.....",
    (Kind.DATA_SET, "TextClassificationDataset"): "xxxxxxxx.....",
    (Kind.DATA_SET, "TranslationDataset"): "xxxxxxxx.....",
    (Kind.TOKENIZER, "ChatGLMTokenizer"): "xxxxxxx......",
    (Kind.TOKENIZER, "ChatGLM2Tokenizer"): ".xxxxxxxxxxxx",
    (Kind.TOKENIZER, "ChatGLM3Tokenizer"): "...xxxxxxxxxx",
    (Kind.TOKENIZER, "ChatGLM4Tokenizer"): "......xxxxxxx",
    (Kind.CALLBACK, "CheckpointMointor"): "xxxxx........",
    (Kind.CALLBACK, "CheckpointMonitor"): ".....xxxxxxxx",
    (Kind.CALLBACK, "ObsMonitor"): "xxxxxxxx.....",
    (Kind.CALLBACK, "TrainingStateMonitor"): ".......xxxxxx",
    (Kind.CALLBACK, "StressDetectCallBack"): ".......xxxxxx",
    (Kind.CALLBACK, "SDCMonitor"): "........xxxxx",
}


@pytest.mark.parametrize(("kind", "name"), HAS)
def test_which_versions_have_a_class(kind: Kind, name: str) -> None:
    """It came with one, and may have gone with another."""
    found = ["x" if CLASSES[kind][name].holds(Version.parse(version)) else "." for version in VERSIONS]
    assert "".join(found) == HAS[kind, name]


def test_every_class_has_its_row() -> None:
    """One without was looked up in some versions alone. And one that all versions have says nothing."""
    assert set(HAS) == {(kind, name) for kind, names in CLASSES.items() for name in names}
    assert "x" * len(VERSIONS) not in HAS.values()


@pytest.mark.parametrize("text", VERSIONS)
def test_the_checkpoint_callback_is_the_dialects(text: str) -> None:
    """Each version has one, by the name that its dialect says."""
    version = Version.parse(text)
    there = [name for name in CHECKPOINT_CALLBACKS if CLASSES[Kind.CALLBACK][name].holds(version)]
    assert there == [dialect_of(version).checkpoint_callback]


def test_what_only_predicts_is_a_model() -> None:
    """It is there; it is its training that is not."""
    assert set(ONLY_PREDICT) <= set(CLASSES[Kind.MODEL])
