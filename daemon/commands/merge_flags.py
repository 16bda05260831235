"""The flags of `glmd merge`: those of the script by hand, and what it did not have.

The parser is the standard library's: typer takes longer to load than a small run to merge.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from daemon.commands.own_parser import Parser
from handlers.ckpt.entry import Family, OutputFormat
from handlers.ckpt.planning.families import keep_name, ordered
from handlers.ckpt.planning.lora import Lora
from handlers.ckpt.planning.network import Names
from handlers.units.byte_sizes import parse_size

HELP = "Merge a run's shards into one filtered checkpoint."
_FLAG = "--"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the words behind `glmd merge`; exits after --help, and with 2 for bad usage."""
    parser = Parser(
        prog="glmd merge",
        description=HELP,
        epilog="Any - in a flag may be _, as in --src_checkpoints_dir. docs/merge.md has more.",
        allow_abbrev=False,
    )
    # Common to all commands, and of no meaning here; --config is the training's YAML, as it always was.
    parser.add_argument("--root", help=argparse.SUPPRESS)
    for add in (_what, _into, _adapters, _care):
        add(parser)
    return parser.parse_args([_dashed(argument) for argument in arguments])


def _dashed(argument: str) -> str:
    """Let `_` in a flag's name be `-`: the script by hand has it, and either will do."""
    if not argument.startswith(_FLAG):
        return argument
    name, equals, value = argument.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}"


_TAG = "EPOCH_STEP, as 31_4; network or trainable_params, alone or as network-31_4; iteration_N; default: last."


def _what(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument_group("what to merge").add_argument
    flag(
        "--src-checkpoints-dir", type=Path, metavar="DIR", help="The output of the run, with checkpoint/rank_N/ in it."
    )
    flag("--shards", type=Path, nargs="+", default=[], metavar="FILE", help="The shards, one for each rank.")
    flag("--src-postfix", default="last", metavar="TAG", help=_TAG)
    flag("--prefix", metavar="NAME", help="The prefix of the shards, as glm-6b; needed only if there are several.")
    flag(
        "--ranks", type=_at_least_1, metavar="N", help="How many ranks the run has; default: as the strategy files say."
    )
    stages = "How many pipeline stages the run has; default: as the strategy files say."
    flag("--stages", type=_at_least_1, metavar="N", help=stages)
    strategy = "A strategy file of the run, or their directory; default: strategy/ in its output."
    flag("--src-strategy-file", type=Path, metavar="PATH", help=strategy)
    flag(
        "--data-parallel", action="store_true", help="The run has no strategy files: every rank holds the whole model."
    )
    frozen = (
        "The strategy file of a full run, for weights that the run's own does not name, as those that LoRA freezes."
    )
    flag("--layout-from", type=Path, metavar="PATH", help=frozen)


def _into(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument_group("what it becomes").add_argument
    flag(
        "--dst-checkpoints-dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="Where to write the output and manifest.json.",
    )
    default = f"{Family.WEIGHTS},{Family.SCALARS}"
    families = f"Families to keep: {', '.join(Family)}, or any other prefix, as ema; default: {default}."
    flag("--keep", type=_families, metavar="FAMILY,…", help=families)
    of_weights = "Default: ckpt. huggingface: only weights, with the names of Hugging Face's models."
    flag("--format", choices=list(OutputFormat), default=OutputFormat.CKPT, help=of_weights)
    base = "For huggingface, the base model: glmd copies its configuration and tokenizer to the output."
    flag("--hf-base", type=Path, metavar="DIR", help=base)
    names = "For huggingface: names of transformers' own class, or of the model's own code; default: as in the base."
    flag("--hf-names", choices=list(Names), help=names)
    flag(
        "--max-shard-size",
        type=_size,
        metavar="SIZE",
        help="Cut safetensors into files of this size at most, as 5GB, with an index.",
    )
    flag("--transformed", action="store_true", help="Write transformed.ckpt too, with everything that the shards hold.")
    diverged = "Allow NaN and infinity in all weights, or in those that match a pattern, as '*.bias'; repeatable."
    flag("--allow-not-finite", nargs="?", const="*", default=[], action="append", metavar="PATTERN", help=diverged)
    flag("--force", action="store_true", help="Replace an existing output.")


def _adapters(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument_group("LoRA adapters").add_argument
    become = "keep (default): beside their weights; merge: added to their weights; only: nothing else."
    flag("--lora", choices=list(Lora), default=Lora.KEEP, help=become)
    flag("--lora-alpha", type=_positive, metavar="NUMBER", help="The training's lora_alpha.")
    flag("--lora-rank", type=_at_least_1, metavar="N", help="The training's lora_rank.")
    flag(
        "--config",
        type=Path,
        metavar="YAML",
        help="The YAML of the training, which has both, and the sizes of the network.",
    )


def _care(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument_group("fewer checks, less time").add_argument
    flag("--trust-replicas", action="store_true", help="Do not compare the copies of a slice on several ranks.")
    flag("--no-hash", action="store_true", help="Write no hashes; then glmd verify compares only headers.")


def _families(text: str) -> tuple[str, ...]:
    try:
        return ordered(keep_name(name.strip()) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _at_least_1(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number
