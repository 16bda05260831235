"""The dialects of MindFormers: what one range of versions does in another way than the next.

Each fact was read in the release branch (for 1.9: the wheel) that it begins with and in the one before, and holds in
the wheel of 2.1. The comments name the file, below `mindformers/` where nothing else is said. What comes and goes by
name has its versions in handlers.mindformers.classes and .keys.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from handlers.mindformers.loaders import LOADERS, Loader
from handlers.mindformers.version import Version


class NewFormat(Enum):
    """How a version is told to save whole iterations in MindFormers' new format, where it can."""

    NONE = auto()
    BY_CALLBACK = auto()
    """The callback's use_legacy_format for saving, a ckpt_use_legacy_format of the YAML for loading."""
    BY_KEY = auto()
    """use_legacy_format of the YAML, for both."""
    BY_SECTION = auto()
    """The same, or the section `checkpoint`, whose keys go before those of the callback."""


@dataclass(frozen=True)
class Dialect:
    """What a range of versions does: a table of facts, each with the source that it was read in.

    It holds from `since` to the next dialect's. Every fact is an answer, never "not looked up": what a field's None
    means, the field says. A part of the YAML that may be left out has its defaults here. Nothing in a dialect changes.
    """

    name: str
    """For people: `0.8 and older`."""
    since: Version
    """The first version that speaks it."""
    resumes_inside_epoch: bool
    """Whether a training without data sinking resumes from a save inside an epoch, at the step behind it."""

    # How it is started.
    launch_scripts: tuple[str, ...]
    """What starts the ranks of one host: files of a checkout. A wheel has none of them, nor run_mindformer.py."""
    output_dir_counts: bool
    """Whether the YAML's output_dir says where the output lies; else LOCAL_DEFAULT_PATH does."""
    resumes_by_name: bool
    """Whether resume_training may be the name of the file to go on from."""

    # What must be said, and what holds where it is not.
    parts: tuple[str, ...]
    """Sections of the YAML that have no defaults."""
    parallel_mode: int | None
    """Where `parallel` has none; None: it must be said."""
    sink_mode: bool
    """Where `runner_config` has none."""
    sink_size: int | None
    """Where `runner_config` has none; None: there is no default."""
    finetune_needs_weights: bool
    """Whether a finetune without load_checkpoint is refused; else it begins from random weights."""

    # Ranks.
    factors: tuple[str, ...]
    """Keys of `parallel_config` whose product is the number of ranks, where the network is cut."""

    context_needs_flash_attention: bool
    """Whether a context_parallel above 1 is refused without the model's use_flash_attention."""

    # What is saved.
    checkpoint_callback: str
    """The class that saves."""
    formats: tuple[str, ...]
    """What checkpoint_format may be, the default first; a single one where there is no such key."""
    removes_redundancy: bool
    """Whether the callback has remove_redundancy, for shards without what another rank saves."""
    saves_network: bool
    """The callback's default for save_network_params: a second file, of the weights alone."""
    network_has_tag: bool
    """Whether that file, and the one of save_trainable_params, has EPOCH_STEP in its name; else each save is put over
    the one before."""
    trainable_excludes_network: bool
    """Whether save_network_params is not looked at where save_trainable_params is True."""
    records_health: bool
    """Whether use_checkpoint_health_monitor writes health_ckpts.json."""
    mcore_saves_safetensors: bool
    """Whether `use_legacy: False` turns the callback's checkpoint_format into safetensors, whatever it says."""
    new_format: NewFormat
    """How it is told to save whole iterations in another form."""

    sets_strategy_path: bool
    """Whether the path of the strategy files is set once more, after all settings."""

    # What is loaded.
    takes_whole_weights: bool
    """Whether load_checkpoint may be a directory of `.ckpt` files, and with auto_trans_ckpt one such file too.

    Else auto_trans_ckpt takes a directory with rank_N directories only.
    """
    loads_safetensors: bool
    """Whether there is `load_ckpt_format: safetensors`."""
    builds_for_any_weights: bool
    """Whether a cut network is built, which takes data sinking, before weights of any form are loaded.

    Else only for slices, and for weights that are to be cut.
    """
    builds_with_sink_size_one: bool
    """Whether it can be built with `sink_size: 1`."""

    def loader(self, name: str) -> Loader | None:
        """Return what is known of the data loader `name`; None where these versions have none of that name."""
        found = LOADERS.get(name)
        return found if found is not None and found.lifetime.holds(self.since) else None


_0_8 = Dialect(
    name="0.8 and older",
    since=Version(0, 0),
    # trainer/utils.py: load_resume_context_from_checkpoint takes the epoch alone.
    resumes_inside_epoch=False,
    launch_scripts=("scripts/run_distribute.sh",),
    # core/context/build_context.py and tools/utils.py: get_output_root_path.
    output_dir_counts=False,
    # trainer/training_args.py; what is no bool counts as True.
    resumes_by_name=False,
    # run_mindformer.py and build_context use each of them unasked.
    parts=("trainer", "model", "runner_config", "parallel", "parallel_config"),
    # core/context/build_context.py: _set_check_parallel_config raises IndexError for None; the same up to 1.3.
    parallel_mode=None,
    # trainer/base_trainer.py, `if not config.runner_config.sink_mode`.
    sink_mode=False,
    sink_size=None,
    # run_mindformer.py: "if run status is finetune, load_checkpoint must be input".
    finetune_needs_weights=True,
    # modules/transformer/transformer.py: TransformerOpParallelConfig has no other, and takes no unknown key.
    factors=("data_parallel", "model_parallel", "pipeline_stage"),
    context_needs_flash_attention=False,
    # core/callback/callback.py, whose spelling it is.
    checkpoint_callback="CheckpointMointor",
    formats=("ckpt",),
    removes_redundancy=False,
    saves_network=True,
    network_has_tag=False,
    trainable_excludes_network=False,
    records_health=False,
    mcore_saves_safetensors=False,
    new_format=NewFormat.NONE,
    # core/context/build_context.py: of two settings for the strategy files it sets the path in one.
    sets_strategy_path=False,
    # trainer/utils.py: transform_ckpt, "The load_checkpoint must be a dir …".
    takes_whole_weights=False,
    loads_safetensors=False,
    # trainer/utils.py: transform_and_load_checkpoint calls build_model first, which raises for `epochs > 1 and
    # sink_size == 1`; check_runner_config has by then multiplied the epochs by the batches of the data.
    builds_for_any_weights=True,
    builds_with_sink_size_one=False,
)
_1_0 = replace(
    _0_8,
    name="1.0",
    since=Version(1, 0),
    # trainer/utils.py: step_num too; trainer/base_trainer.py: dataset.set_init_step(initial_step).
    resumes_inside_epoch=True,
    # run_mindformer.py: set_output_path(config.output_dir).
    output_dir_counts=True,
    # trainer/trainer.py: _check_config_type takes a bool or a str.
    resumes_by_name=True,
    # trainer/utils.py: check_ckpt_for_transform (from 1.2 on in tools/ckpt_transform), load_ckpt.
    takes_whole_weights=True,
    # The same: check_path_include_total_ckpt leads past build_model, and build_model asks for sink_mode alone.
    builds_for_any_weights=False,
    builds_with_sink_size_one=True,
    # core/context/build_context.py.
    sets_strategy_path=True,
)
_1_1 = replace(
    _1_0,
    name="1.1",
    since=Version(1, 1),
    launch_scripts=("scripts/run_distribute.sh", "scripts/msrun_launcher.sh"),
    # trainer/trainer.py: "resume_training must be bool".
    resumes_by_name=False,
    # run_mindformer.py leaves it to the Trainer, which does not ask.
    finetune_needs_weights=False,
)
_1_2 = replace(
    _1_1,
    name="1.2",
    since=Version(1, 2),
    # trainer/trainer.py: a bool or a str again.
    resumes_by_name=True,
    # tools/check_rules.py: _check_parallel; modules/transformer/op_parallel_config.py.
    factors=("data_parallel", "model_parallel", "context_parallel", "pipeline_stage"),
    # core/callback/callback.py; 1.1.0's wheel and branch still have the other spelling.
    checkpoint_callback="CheckpointMonitor",
)
_1_3 = replace(
    _1_2,
    name="1.3 and 1.4",
    since=Version(1, 3),
    # tools/check_rules.py: "context_parallel is only available for flash attention for now".
    context_needs_flash_attention=True,
)
_1_5 = replace(
    _1_3,
    name="1.5",
    since=Version(1, 5),
    # tools/register/template.py: ConfigTemplate fills in RunnerConfig, MsParallelConfig, ParallelConfig.
    parts=("trainer", "model"),
    parallel_mode=1,
    sink_mode=True,
    sink_size=1,
    # core/callback/callback.py: CheckpointMonitor, and its save_only_network_params, which returns in between.
    formats=("ckpt", "safetensors"),
    removes_redundancy=True,
    network_has_tag=True,
    trainable_excludes_network=True,
    # utils/load_checkpoint_utils.py: load_checkpoint_with_safetensors.
    loads_safetensors=True,
)
_1_6 = replace(
    _1_5,
    name="1.6",
    since=Version(1, 6),
    launch_scripts=("scripts/msrun_launcher.sh",),
    # core/callback/callback.py.
    saves_network=False,
    records_health=True,
    # trainer/base_trainer.py: "When use_legacy=False, it's not supported to save 'ckpt' files".
    mcore_saves_safetensors=True,
)
_1_7 = replace(
    _1_6,
    name="1.7",
    since=Version(1, 7),
    # trainer/base_trainer.py: `callback.get("use_legacy_format", True)`, config.ckpt_use_legacy_format.
    new_format=NewFormat.BY_CALLBACK,
)
_1_8 = replace(
    _1_7,
    name="1.8",
    since=Version(1, 8),
    # trainer/base_trainer.py: the callback's own key is put over by the YAML's.
    new_format=NewFormat.BY_KEY,
)
_1_9 = replace(
    _1_8,
    name="1.9 and newer",
    since=Version(1, 9),
    # trainer/utils.py: convert_checkpoint_config.
    new_format=NewFormat.BY_SECTION,
)

DIALECTS = (_0_8, _1_0, _1_1, _1_2, _1_3, _1_5, _1_6, _1_7, _1_8, _1_9)
"""By version, the oldest first."""

OLDEST_READ, NEWEST_READ = Version(0, 6), Version(2, 1)
"""The releases that were read for this; of others it is a guess that they speak as these do."""


def dialect_of(version: Version) -> Dialect:
    """Return what `version` speaks: the newest dialect that is not younger."""
    return next(dialect for dialect in reversed(DIALECTS) if dialect.since <= version)


def is_read(version: Version) -> bool:
    """Say whether `version`, or another patch of it, is among the releases that were read."""
    return (
        (OLDEST_READ.major, OLDEST_READ.minor)
        <= (version.major, version.minor)
        <= (
            NEWEST_READ.major,
            NEWEST_READ.minor,
        )
    )
