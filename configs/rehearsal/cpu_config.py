"""A configuration for Ascend, turned into what CPU ranks can train."""

from __future__ import annotations

from typing import Any


def fit_to_cpu(config: dict[str, Any], ranks: int) -> int:
    """Turn `config` into what CPU ranks can train, in place; return into how many slices checkpoints are to be cut.

    Raises ValueError for what the rehearsal does not act out.
    """
    split, runner = config["parallel_config"], config["runner_config"]
    slices: int = split["model_parallel"] if config["parallel"]["parallel_mode"] in (1, 2) else 1
    if slices > 1:
        if (split["data_parallel"], slices, split["pipeline_stage"]) != (1, ranks, 1):
            raise ValueError(
                f"the rehearsal cuts a model into one slice for each of its {ranks} ranks, and in no other way, but "
                f"parallel_config says data_parallel {split['data_parallel']}, model_parallel {slices}, "
                f"pipeline_stage {split['pipeline_stage']}"
            )
        if runner["batch_size"] % ranks:
            raise ValueError(f"runner_config.batch_size {runner['batch_size']} cannot be split over {ranks} ranks")
        runner["batch_size"] //= ranks
    config["parallel"].update(parallel_mode=0, full_batch=False, gradients_mean=True)
    split.update(data_parallel=1, model_parallel=1)
    runner["sink_mode"] = False
    return slices
