"""MindFormers' training on CPU ranks that leave the files of a model-parallel run behind; see run_mindformer.py.

Runs in the training environment (Python 3.9).
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import mindspore
import numpy as np
from cpu_config import fit_to_cpu
from fixed_batch import ROWS, loss_on_fixed_batch
from mindformers.core.callback import CheckpointMointor
from mindformers.core.callback import callback as mindformers_callback
from mindformers.core.context import build_context
from mindformers.core.parallel_config import build_parallel_config
from mindformers.dataset import build_dataset, check_dataset_config
from mindformers.tools import get_output_root_path
from mindformers.tools.logger import logger
from mindformers.tools.register import MindFormerConfig, MindFormerModuleType, MindFormerRegister
from mindformers.trainer import base_trainer, build_trainer
from mindformers.trainer.utils import load_resume_context_from_checkpoint
from mindformers.wrapper.wrapper import MFTrainOneStepCell
from mindspore import nn, ops
from model_parallel import own_slice, write_strategy
from whole_checkpoint import join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

RANK = int(os.getenv("RANK_ID", "0"))
"""Not MindSpore's get_rank(): a CPU cluster numbers its ranks as they come, and files and data go by RANK_ID."""
RANKS = int(os.getenv("RANK_SIZE", "1"))


def train(path: Path, settings: Mapping[str, object]) -> None:
    """Train as the YAML at `path`, changed by `settings` (by dotted key), says; save, and write trained_loss.json."""
    config = MindFormerConfig(str(path))
    config.merge_from_dict(settings)
    if config.run_mode == "finetune" and not config.load_checkpoint:
        raise ValueError("run_mode finetune needs load_checkpoint")
    slices = fit_to_cpu(config, RANKS)
    _take_own_parts(config, slices)
    build_context(config)
    logger.info(
        "REHEARSAL: semi_auto_parallel refuses a CPU, so rank %d of %d trains data parallel, for real; "
        "checkpoints are cut into the %d slices of model_parallel when they are saved",
        RANK,
        RANKS,
        slices,
    )
    mindspore.set_seed(config.seed)
    build_parallel_config(config)
    if config.resume_training and config.load_checkpoint:
        _take_up(config, slices)
    else:
        config.model.model_config.checkpoint_name_or_path, config.load_checkpoint = config.load_checkpoint, None
    check_dataset_config(config)
    untouched = copy.deepcopy(config)
    dataset = build_dataset(config.train_dataset_task)
    steps = dataset.get_dataset_size()
    if config.runner_config.sink_size not in (None, -1, steps):
        raise ValueError(
            f"runner_config.sink_size {config.runner_config.sink_size}: one pass over the rows is {steps} steps, "
            "and without data sinking, which a CPU has not, that is an epoch"
        )
    base_trainer.CURRENT_PROJECT_PATH = os.devnull  # else it copies MindFormers' YAMLs into the working directory
    trainer = build_trainer(config.trainer)
    trainer.train(config, dataset=dataset, is_full_config=True)
    _report(loss_on_fixed_batch(trainer.network, untouched))


def _take_own_parts(config: MindFormerConfig, slices: int) -> None:
    """Let `config` name the classes of this module where MindFormers' own need Ascend."""
    for callback in config.callbacks or ():
        if callback["type"] in ("CheckpointMointor", "CheckpointMonitor"):
            callback.update(type=SlicedCheckpoint.__name__, slices=slices)
    if config.runner_wrapper.type == MFTrainOneStepCell.__name__:
        config.runner_wrapper.type = CpuTrainOneStepCell.__name__


def _take_up(config: MindFormerConfig, slices: int) -> None:
    """Let MindFormers resume: from its one file where a rank holds the whole model, which is joined of the slices.

    It does the rest itself: weights, moments and global_step from that file, the first epoch from its epoch_num.
    """
    if slices > 1:
        whole = Path(get_output_root_path(), "rehearsal", f"resumed_rank_{RANK}.ckpt")
        join(Path(config.load_checkpoint), slices, whole)
        config.load_checkpoint = str(whole)
    for callback in config.callbacks:
        if callback["type"] == SlicedCheckpoint.__name__:  # MindFormers restores the loss scale for its own alone
            callback["type"] = CheckpointMointor.__name__
    load_resume_context_from_checkpoint(config)
    _take_own_parts(config, slices)


def _report(loss: float) -> None:
    """Let rank 0 write trained_loss.json; the loss is there for people, and in hexadecimal for comparison."""
    losses = [{"loss": value, "hex": value.hex()} for (value,) in gather([loss])]
    if RANK == 0:
        path = Path(get_output_root_path(), "rehearsal", "trained_loss.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        ranks = [{"rank": rank, **record} for rank, record in enumerate(losses)]
        path.write_text(json.dumps({"rows": ROWS, **losses[0], "ranks": ranks}, indent=2) + "\n")


class Sum(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Adds a tensor up over the ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.all_reduce = ops.AllReduce()

    def construct(self, x: mindspore.Tensor) -> mindspore.Tensor:
        """Be what MindSpore compiles."""
        return self.all_reduce(x)


def gather(values: Sequence[float]) -> list[list[float]]:
    """Return the float32 `values` of every rank, by rank; exact, since all but one of the terms added are zero."""
    if RANKS == 1:
        return [list(values)]
    table = np.zeros((RANKS, len(values)), np.float32)
    table[RANK] = values
    by_rank: list[list[float]] = Sum()(mindspore.Tensor(table)).asnumpy().tolist()
    return by_rank


@MindFormerRegister.register(MindFormerModuleType.CALLBACK)
class SlicedCheckpoint(CheckpointMointor):  # type: ignore[misc]  # MindFormers has no types
    """MindFormers' checkpoint callback, for ranks that hold the whole model and save one of `slices` slices of it."""

    def __init__(self, slices: int, **settings: object) -> None:
        super().__init__(**settings)
        self.slices = slices
        mindformers_callback.save_checkpoint = self.save  # what the inherited code calls

    def begin(self, run_context: mindspore.RunContext) -> None:
        """Write the strategy file; on Ascend the graph compiler does, now."""
        if self.slices > 1:
            names = [parameter.name for parameter in run_context.original_args().train_network.get_parameters()]
            write_strategy(
                Path(get_output_root_path(), "strategy", f"ckpt_strategy_rank_{RANK}.ckpt"), names, self.slices
            )

    def save(self, network: nn.Cell, path: str, *options: object) -> None:
        """Take the place of MindSpore's save_checkpoint, whose third option is what to append."""
        whole = {parameter.name: parameter.asnumpy() for _, parameter in network.parameters_and_names()}
        agree(whole, path)
        mine = {name: own_slice(name, array, RANK, self.slices) for name, array in whole.items()}
        mindspore.save_checkpoint(
            [{"name": name, "data": mindspore.Tensor(np.array(array, order="C"))} for name, array in mine.items()],
            path,
            append_dict=options[2],
        )


def agree(whole: Mapping[str, NDArray[np.generic]], path: str) -> None:
    """Raise RuntimeError unless all ranks hold the same parameters; else their slices were of different models."""
    digest = hashlib.sha256()
    for name, array in whole.items():
        digest.update(name.encode())
        digest.update(array.tobytes())
    digests = gather([float(byte) for byte in digest.digest()])
    if any(other != digests[0] for other in digests):
        raise RuntimeError(f"{path}: not written: the ranks' parameters have drifted apart")


@MindFormerRegister.register(MindFormerModuleType.WRAPPER)
class CpuTrainOneStepCell(MFTrainOneStepCell):  # type: ignore[misc]  # MindFormers has no types
    """MindFormers' training step. A gradient that is not finite is an overflow; Ascend would ask the hardware."""

    def start_overflow_check(
        self, pre_cond: mindspore.Tensor, compute_input: mindspore.Tensor
    ) -> tuple[mindspore.Tensor, mindspore.Tensor]:
        """Do nothing: there is no hardware flag to clear."""
        return pre_cond, compute_input

    def get_overflow_status(
        self,
        status: mindspore.Tensor,  # noqa: ARG002 - the inherited signature
        compute_output: tuple[mindspore.Tensor, ...],
    ) -> mindspore.Tensor:
        """Return whether an element of the gradients is infinite or no number."""
        total = 0.0
        for gradient in compute_output:
            total = total + ops.reduce_sum(ops.abs(gradient))
        return ops.logical_not(ops.isfinite(total))
