"""Which keys each version of MindFormers takes, as read in its constructors and templates."""

import pytest

from handlers.mindformers.keys import CHECKPOINT_CALLBACK, PASSED_OVER, SECTIONS, Section
from handlers.mindformers.version import Lifetime, Version

VERSIONS = ("0.6", "0.7", "0.8", "1.0.2", "1.1", "1.2", "1.3.2", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "2.1")
ALWAYS = "x" * len(VERSIONS)
# A column for each of VERSIONS: the keys that not all of them take.
TAKES: dict[str, dict[str, str]] = {
    "callbacks": {
        "save_network_params": ".xxxxxxxxxxxxx",
        "save_trainable_params": ".xxxxxxxxxxxxx",
        "global_batch_size": "......xxxxxxxx",
        "checkpoint_format": ".......xxxxxxx",
        "remove_redundancy": ".......xxxxxxx",
        "embedding_size": ".........xxxxx",
        "embedding_local_norm_threshold": ".........xxxxx",
        "use_checkpoint_health_monitor": ".........xxxxx",
        "health_ckpts_record_dir": ".........xxxxx",
        "use_legacy_format": "..........xxxx",
        "save_optimizer": "..........xxxx",
        "save_checkpoint_path": "..........x...",
        "save_every_step": "..............",
    },
    "parallel_config": {
        "use_seq_parallel": ".xxxxxxxxxxxxx",
        "context_parallel": ".....xxxxxxxxx",
        "context_parallel_algo": "......xxxxxxxx",
        "ulysses_degree_in_cp": "......xxxxxxxx",
        "seq_split_num": ".......xxxxxxx",
        "mem_coeff": "...xxxxxxxxxxx",
        "recompute": "..............",
    },
    "recompute_config": {
        "select_recompute": ".xxxxxxxxxxxxx",
        "select_comm_recompute": "....xxxxxxxxxx",
        "select_recompute_exclude": "........xxxxxx",
        "select_comm_recompute_exclude": "........xxxxxx",
    },
    "runner_config": {"image_size": "xxxxxxxx......"},
}
READS = {
    "runner_config.gradient_accumulation_steps": "...xxxxxxxxxxx",
    "ignore_data_skip": "....xxxxxxxxxx",
    "data_skip_steps": "......xxxxxxxx",
    "load_ckpt_format": "........xxxxxx",
    "load_ckpt_async": "........xxxxxx",
    "remove_redundancy": "........xxxxxx",
    "use_graceful_exit": "........xxxxxx",
    "use_legacy": "........xxxxxx",
    "monitor_config": "........xxxxxx",
    "swap_config": "........xxxxxx",
    "pretrained_model_dir": ".........xxxxx",
    "checkpoint": "............xx",
    "balanced_load": "..........xxxx",
    "print_separate_loss": "..........xxxx",
    "ckpt_use_legacy_format": "..........x...",
    "use_legacy_format": "...........xxx",
    "reshard_worker_num": "............xx",
}


def section_of(name: str) -> Section:
    """Return a section by its key."""
    return CHECKPOINT_CALLBACK if name == "callbacks" else SECTIONS[name]


@pytest.mark.parametrize(("section", "key"), [(name, key) for name, keys in TAKES.items() for key in keys])
def test_which_versions_take_a_key(section: str, key: str) -> None:
    """The others end over it."""
    found = ["." if section_of(section).refused(key, Version.parse(version)) else "x" for version in VERSIONS]
    assert "".join(found) == TAKES[section][key]


@pytest.mark.parametrize("section", TAKES)
def test_other_keys_are_taken_by_all(section: str) -> None:
    """So that every key that comes or goes has its row above."""
    constant = [key for key in section_of(section).keys if key not in TAKES[section]]
    assert constant
    for key in constant:
        assert section_of(section).keys[key] == Lifetime()
        assert not any(section_of(section).refused(key, Version.parse(version)) for version in VERSIONS)


@pytest.mark.parametrize("key", PASSED_OVER)
def test_which_versions_read_a_key(key: str) -> None:
    """The others pass over it."""
    found = ["x" if PASSED_OVER[key].lifetime.holds(Version.parse(version)) else "." for version in VERSIONS]
    assert "".join(found) == READS[key]


def test_every_key_has_its_row() -> None:
    """One without was looked up in some versions alone."""
    assert set(READS) == set(PASSED_OVER)
    assert set(TAKES) == {"callbacks", *SECTIONS}
    assert ALWAYS not in READS.values()
