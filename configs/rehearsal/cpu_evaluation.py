"""MindFormers' own evaluation in one process on a CPU; see run_mindformer.py.

Runs in the training environment (Python 3.9).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mindformers.core.context import build_context
from mindformers.core.parallel_config import build_parallel_config
from mindformers.dataset import check_dataset_config
from mindformers.tools.register import MindFormerConfig
from mindformers.trainer import base_trainer, build_trainer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def evaluate(path: Path, settings: Mapping[str, object]) -> None:
    """Evaluate as the YAML at `path`, changed by `settings` (by dotted key), says; MindFormers prints its metrics."""
    config = MindFormerConfig(str(path))
    config.merge_from_dict(settings)
    config.parallel.update(parallel_mode=0, full_batch=False, gradients_mean=True)
    config.parallel_config.update(data_parallel=1, model_parallel=1)
    config.runner_config.sink_mode = False
    config.eval_callbacks = config.eval_callbacks or []
    build_context(config)
    build_parallel_config(config)
    check_dataset_config(config)
    base_trainer.CURRENT_PROJECT_PATH = os.devnull  # else it copies MindFormers' YAMLs into the working directory
    build_trainer(config.trainer).evaluate(config, is_full_config=True)
