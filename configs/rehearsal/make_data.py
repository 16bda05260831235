"""Make what the rehearsal trains on: train.json, ice_text.model and initial.ckpt in a directory. Always the same bytes.

    python make_data.py DIRECTORY

Runs in the training environment (Python 3.9).
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

ROWS = 8
VOCABULARY = 130528
SPECIAL = {130000: "[MASK]", 130001: "[gMASK]", 130002: "[sMASK]", 130004: "<sop>", 130005: "<eop>"}
"""ChatGLM-6B's special tokens by id; MindFormers' data set code has these ids built in."""
WORDS = [
    "裤",
    "类型",
    "版型",
    "宽松",
    "风格",
    "图案",
    "线条",
    "外套",
    "中袖",
    "款式",
    "拼接",
    "材质",
    "颜色",
    "黑色",
    "白色",
    "裙型",
]


def write_rows(path: Path) -> list[str]:
    """Write the training set in ADGEN's form, one JSON object a line; return its texts."""
    chance = random.Random(0)  # noqa: S311 - no secrets here; always the same rows
    rows = [
        {"content": "*".join(chance.sample(WORDS, 4)), "summary": "".join(chance.sample(WORDS, 8)) + "。"}
        for _ in range(ROWS)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return [text for row in rows for text in row.values()]


def write_tokenizer(path: Path, texts: list[str]) -> None:
    """Train a small SentencePiece model on `texts`, and pad it so that the special tokens get ChatGLM-6B's ids."""
    with tempfile.TemporaryDirectory() as directory:
        corpus = Path(directory, "corpus.txt")
        corpus.write_text("\n".join(texts), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus),
            model_prefix=str(Path(directory, "small")),
            vocab_size=120,
            model_type="bpe",
            character_coverage=1.0,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            user_defined_symbols=["<pad>", *SPECIAL.values(), "<n>", "<|tab|>"],
        )
        model = sentencepiece_model_pb2.ModelProto.FromString(Path(directory, "small.model").read_bytes())
    del model.trainer_spec.input[:]  # the temporary directory's name
    model.trainer_spec.ClearField("model_prefix")
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece
    ordinary = [piece for piece in model.pieces if piece.piece not in SPECIAL.values()]
    del model.pieces[:]
    for number in range(VOCABULARY):
        if number in SPECIAL:
            model.pieces.add(piece=SPECIAL[number], score=0.0, type=kinds.USER_DEFINED)
        elif number < len(ordinary):
            model.pieces.append(ordinary[number])
        else:
            model.pieces.add(piece=f"<filler_{number}>", score=0.0, type=kinds.UNUSED)
    path.write_bytes(model.SerializeToString())


def write_initial_weights(path: Path, config: Path) -> None:
    """Write the untrained network of `config` as a checkpoint, so that the rehearsal is a fine-tune like any other."""
    import mindspore  # noqa: PLC0415 - takes seconds; the rest does not need it
    from mindformers.models import build_model  # noqa: PLC0415
    from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415

    mindspore.set_context(device_target="CPU")
    mindspore.set_seed(0)
    mindspore.save_checkpoint(build_model(MindFormerConfig(str(config)).model), str(path))


def main() -> None:
    """Fill the directory that the command line names."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    write_tokenizer(directory / "ice_text.model", write_rows(directory / "train.json"))
    write_initial_weights(directory / "initial.ckpt", Path(__file__).with_name("rehearsal.yaml"))


if __name__ == "__main__":
    main()
