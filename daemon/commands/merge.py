"""`glmd merge`: the merge by hand, in one pass and without the 63 GB in between."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from daemon.commands.merge_flags import parse
from daemon.commands.terminal.progress import progress, report, warn
from handlers.ckpt.copying.finite import named
from handlers.ckpt.entry import Family, OutputFormat
from handlers.ckpt.planning.families import ordered
from handlers.ckpt.planning.lora import Lora
from handlers.ckpt.planning.network import Names, Network
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.merging.merge import MergeSummary, run
from handlers.printable import printable
from handlers.records.merge_plan import MergePlan
from handlers.units.byte_sizes import format_size


def merge(arguments: Sequence[str]) -> None:
    """Run the command with the words behind `glmd merge`."""
    plan = plan_of(arguments)
    with progress("merge_progress", "merging") as shown:
        done = run(plan, shown, report)
    for caution in done.cautions:
        warn(caution.event, caution.reason, caution.fields)
    sys.stdout.write("".join(f"{line}\n" for line in summary(done)))


def summary(done: MergeSummary) -> list[str]:
    """Say what was merged, in a few lines; names are in the manifest."""
    counts = "".join(f", {done.dropped[family]} {family} dropped" for family in ordered(done.dropped))
    speed = f", {format_size(done.bytes / done.seconds)}/s" if done.seconds > 0 else ""
    ranks = f"{done.ranks} rank{'s' * (done.ranks > 1)}"
    stages = f"{done.stages} pipeline stage{'s' * (done.stages > 1)}"
    entries = f"{done.entries_in} entries in, {done.entries_kept} kept{counts}"
    written = f"{format_size(done.bytes)} in {done.seconds:.1f} s{speed}"
    agreed = "all ranks agree on them" if done.agreed else "taken from rank 0, and not compared"
    lines = (
        f"merged {done.prefix} {done.tag} of {ranks}: {entries}, {written}; {stages}",
        *([f"{done.adapters_merged} weights got their LoRA adapter added"] if done.adapters_merged else []),
        *([f"{done.unlaid} are in no strategy; {agreed} (manifest.json: unlaid)"] if done.unlaid else []),
        *([f"{named(done.not_finite)}; kept as allowed (manifest.json)"] if done.not_finite else []),
        *map(str, done.outputs),
    )
    return [printable(line) for line in lines]


def plan_of(arguments: Sequence[str]) -> MergePlan:
    """Read the command line; exits for bad usage, raises BadInputError for what cannot be meant."""
    given = parse(arguments)
    source = _source(given.src_checkpoints_dir, given.shards)
    _check_there(given)
    if given.data_parallel and given.src_strategy_file:
        raise BadInputError(
            "--data-parallel is for runs without strategy files; leave it out, or leave out --src-strategy-file",
            Code.USAGE_OPTIONS,
        )
    if given.data_parallel and given.stages not in {None, 1}:
        raise BadInputError(
            "--data-parallel is for runs without pipeline stages; leave it out, or leave out --stages",
            Code.USAGE_OPTIONS,
        )
    if given.max_shard_size is not None and given.format == OutputFormat.CKPT:
        raise BadInputError(
            "--max-shard-size is for --format safetensors; a .ckpt is always one file", Code.USAGE_OPTIONS
        )
    form = OutputFormat(given.format)
    keep = _kept(given, form)
    alpha, rank = _scale(given)
    return MergePlan(
        source=source,
        files=tuple(path.absolute() for path in given.shards),
        strategy=given.src_strategy_file and given.src_strategy_file.absolute(),
        needs_strategy=not given.data_parallel,
        ranks=given.ranks,
        stages=given.stages,
        prefix=given.prefix,
        tag=given.src_postfix,
        keep=keep,
        lora=Lora(given.lora),
        lora_alpha=alpha,
        lora_rank=rank,
        layout_from=given.layout_from and given.layout_from.absolute(),
        format=form,
        max_shard_size=given.max_shard_size,
        hf_base=given.hf_base and given.hf_base.absolute(),
        hf_names=given.hf_names and Names(given.hf_names),
        network=_network(given.config) if form is OutputFormat.HUGGINGFACE and given.config is not None else None,
        transformed=given.transformed,
        destination=given.dst_checkpoints_dir.absolute(),
        allow_not_finite=tuple(given.allow_not_finite),
        force=given.force,
        hashed=not given.no_hash,
        compared=not given.trust_replicas,
    )


def _check_there(given: argparse.Namespace) -> None:
    """Refuse what is named but does not exist."""
    for flag in ("src_strategy_file", "layout_from", "config", "hf_base"):
        path: Path | None = getattr(given, flag)
        if path is not None and not path.exists():
            raise BadInputError(f"--{flag.replace('_', '-')}: {path} does not exist", Code.USAGE_NOT_THERE)


def _kept(given: argparse.Namespace, form: OutputFormat) -> tuple[str, ...]:
    """Return the families to keep; refuse what goes with Hugging Face's libraries, or without them, only."""
    if form is not OutputFormat.HUGGINGFACE:
        for flag in ("hf_base", "hf_names"):
            if getattr(given, flag) is not None:
                raise BadInputError(
                    f"--{flag.replace('_', '-')} is for --format huggingface: give that too, or leave it out",
                    Code.USAGE_OPTIONS,
                )
        return given.keep or (Family.WEIGHTS, Family.SCALARS)
    if given.keep not in {None, (Family.WEIGHTS,)}:
        raise BadInputError(
            "--format huggingface has weights only: Hugging Face's models have no scalars and no optimizer state; "
            "leave out --keep",
            Code.USAGE_OPTIONS,
        )
    if given.lora == Lora.ONLY:
        raise BadInputError(
            "--format huggingface has no names for adapters alone; --lora merge adds them to their weights",
            Code.USAGE_OPTIONS,
        )
    return (Family.WEIGHTS,)


def _network(config: Path) -> Network:
    from handlers.validate.network_config import read_network_config  # noqa: PLC0415 - as in _scale

    return read_network_config(config)


def _source(directory: Path | None, shards: Sequence[Path]) -> Path:
    if directory is None:
        if not shards:
            raise BadInputError("say what to merge: --src-checkpoints-dir DIR, or --shards FILE…", Code.USAGE_OPTIONS)
        return Path(os.path.commonpath([path.absolute().parent for path in shards]))
    if not directory.is_dir():
        raise BadInputError(f"--src-checkpoints-dir: {directory} is not a directory", Code.USAGE_NOT_THERE)
    return directory.absolute()


def _scale(given: argparse.Namespace) -> tuple[float | None, int | None]:
    """Return lora_alpha and lora_rank, of which neither or both are known."""
    alpha, rank = given.lora_alpha, given.lora_rank
    only_sizes = given.format == OutputFormat.HUGGINGFACE and given.lora == Lora.KEEP
    if given.config is not None and alpha is None and rank is None and not only_sizes:
        from handlers.validate.lora_config import read_lora_config  # noqa: PLC0415 - a YAML parser, which few merges need

        scale = read_lora_config(given.config)
        return scale.alpha, scale.rank
    if (alpha is None) != (rank is None) or (given.config is not None and given.format != OutputFormat.HUGGINGFACE):
        raise BadInputError(
            "give --lora-alpha and --lora-rank, or --config with the run's YAML, which has both", Code.USAGE_OPTIONS
        )
    if given.lora == Lora.MERGE and alpha is None:
        raise BadInputError(
            "--lora merge scales the adapters by lora_alpha / lora_rank, which the shards do not say: give "
            "--lora-alpha and --lora-rank, or --config with the run's YAML",
            Code.USAGE_OPTIONS,
        )
    return alpha, rank
