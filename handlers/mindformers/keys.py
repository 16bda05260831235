"""Keys of a YAML that not all versions of MindFormers take, and what becomes of one that a version does not know.

Read in the branches r0.6 to r1.8.0 and in the wheels of 1.9 and 2.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.mindformers.version import ALWAYS, Lifetime, Version

_NEVER = Lifetime(before=Version(0, 0))
_FROM = {minor: Lifetime(Version(1, minor)) for minor in range(10)}


@dataclass(frozen=True)
class Section:
    """A mapping of the YAML whose keys are checked by MindFormers itself: it ends over one that it does not know."""

    keys: Mapping[str, Lifetime]
    """All that any version takes."""
    checked: Lifetime = ALWAYS
    """The versions that check; the others skip what they do not know."""

    def refused(self, key: str, version: Version) -> bool:
        """Say whether `version` ends over `key`."""
        return self.checked.holds(version) and not self.keys.get(key, _NEVER).holds(version)


CHECKPOINT_CALLBACK = Section(
    # core/callback/callback.py: the arguments of CheckpointMointor and CheckpointMonitor.
    dict.fromkeys(
        (
            "type", "prefix", "directory", "config", "save_checkpoint_steps", "save_checkpoint_seconds",
            "keep_checkpoint_max", "keep_checkpoint_per_n_minutes", "integrated_save", "async_save", "saved_network",
            "append_info", "enc_key", "enc_mode", "exception_save",
        ),
        ALWAYS,
    )
    | dict.fromkeys(("save_network_params", "save_trainable_params"), Lifetime(Version(0, 7)))
    | {"global_batch_size": _FROM[3], "checkpoint_format": _FROM[4], "remove_redundancy": _FROM[4]}
    | dict.fromkeys(
        (
            "embedding_size", "embedding_local_norm_threshold", "use_checkpoint_health_monitor",
            "health_ckpts_record_dir",
        ),
        _FROM[6],
    )
    | {
        "use_legacy_format": _FROM[7],
        "save_optimizer": _FROM[7],
        "save_checkpoint_path": Lifetime(Version(1, 7), Version(1, 8)),
    }
)  # fmt: skip

SECTIONS: Mapping[str, Section] = {
    # modules/transformer/transformer.py: the arguments of TransformerOpParallelConfig; from 1.5 on
    # tools/register/template.py: ParallelConfig.
    "parallel_config": Section(
        dict.fromkeys(
            (
                "data_parallel", "model_parallel", "expert_parallel", "pipeline_stage", "micro_batch_num",
                "optimizer_shard", "gradient_aggregation_group", "vocab_emb_dp",
            ),
            ALWAYS,
        )
        | {
            "use_seq_parallel": Lifetime(Version(0, 7)),
            "context_parallel": _FROM[2],
            "context_parallel_algo": _FROM[3],
            "ulysses_degree_in_cp": _FROM[3],
            "seq_split_num": _FROM[4],
            "mem_coeff": _FROM[0],  # core/parallel_config.py takes it out where it searches for a strategy
        }
    ),
    # modules/transformer/transformer.py: the arguments of TransformerRecomputeConfig; then the template.
    "recompute_config": Section(
        dict.fromkeys(
            (
                "recompute", "parallel_optimizer_comm_recompute", "mp_comm_recompute", "recompute_slice_activation",
            ),
            ALWAYS,
        )
        | {
            "select_recompute": Lifetime(Version(0, 7)),
            "select_comm_recompute": _FROM[1],
            "select_recompute_exclude": _FROM[5],
            "select_comm_recompute_exclude": _FROM[5],
        }
    ),
    # tools/register/template.py: RunnerConfig.
    "runner_config": Section(
        dict.fromkeys(
            (
                "batch_size", "epochs", "sink_mode", "sink_size", "gradient_accumulation_steps", "num_classes",
                "stop_step",
            ),
            ALWAYS,
        ),
        checked=_FROM[5],
    ),
}  # fmt: skip
"""By the top-level key."""


NEW_CHECKPOINTS: Mapping[str, str] = {
    "prefix": "prefix",
    "save_max": "keep_checkpoint_max",
    "save_interleaved_steps": "save_checkpoint_steps",
    "save_path": "directory",
    "save_remove_redundancy": "remove_redundancy",
    "async_save": "async_save",
    "no_save_optim": "",
    "load_path": "",
    "load_balanced": "",
    "no_load_optim": "",
    "reshard_worker_num": "",
}
"""The keys of the section `checkpoint`, each with the callback's of the same meaning, which holds where it is absent.

Read in trainer/utils.py (convert_checkpoint_config) of 1.9; no other key in it is looked at.
"""


@dataclass(frozen=True)
class Option:
    """A key that only some versions read; the others skip it silently, or with one in the log."""

    lifetime: Lifetime
    default: object
    """A value that changes nothing; one that is empty never does."""


PASSED_OVER: Mapping[str, Option] = {
    # trainer/base_trainer.py: create_train_dataset and its successors.
    "runner_config.gradient_accumulation_steps": Option(_FROM[0], 1),
    # trainer/trainer.py, trainer/utils.py, core/callback/callback.py; the defaults are in tools/register/template.py.
    "ignore_data_skip": Option(_FROM[1], default=False),
    "data_skip_steps": Option(_FROM[3], None),
    "load_ckpt_format": Option(_FROM[5], "ckpt"),
    "load_ckpt_async": Option(_FROM[5], default=False),
    "remove_redundancy": Option(_FROM[5], default=False),
    "use_graceful_exit": Option(_FROM[5], default=False),
    "use_legacy": Option(_FROM[5], default=True),
    "monitor_config": Option(_FROM[5], None),
    "swap_config": Option(_FROM[5], None),
    "pretrained_model_dir": Option(_FROM[6], ""),
    # trainer/utils.py: convert_checkpoint_config.
    "checkpoint": Option(_FROM[9], None),
    # checkpoint/, from 1.7 on; use_legacy_format had another name in 1.7 alone.
    "balanced_load": Option(_FROM[7], default=False),
    "print_separate_loss": Option(_FROM[7], default=True),
    "ckpt_use_legacy_format": Option(Lifetime(Version(1, 7), Version(1, 8)), default=True),
    "use_legacy_format": Option(_FROM[8], default=True),
    "reshard_worker_num": Option(_FROM[9], 1),
}
"""By dotted key."""
