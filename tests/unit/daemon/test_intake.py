"""Names that strangers give become names that are safe in paths and units."""

import pytest

from daemon.intake import job_name


@pytest.mark.parametrize(
    ("dropped", "name"),
    (
        ("run_glm_6b_finetune.yaml", "run_glm_6b_finetune"),
        ("run.yml", "run"),
        ("my run (2).yaml", "my_run_2"),
        ("..yaml", "unnamed"),
        ("微调.yaml", "unnamed"),
        ("a\nb\x1b[31m.yaml", "a_b_31m"),
        ("$(reboot).yaml", "reboot"),
        ("x" * 250 + ".yaml", "x" * 64),
        ("no_ending", "no_ending"),
    ),
)
def test_a_jobs_name_is_plain(dropped: str, name: str) -> None:
    """Letters, digits, dot, dash and underscore, at most 64 of them, never a leading dot."""
    assert job_name(dropped) == name
