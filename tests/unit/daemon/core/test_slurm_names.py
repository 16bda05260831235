"""What glmd's jobs are called in Slurm."""

from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.slurm_names import ID_FILE, SlurmName, known_id


def test_a_name_says_root_job_and_attempt() -> None:
    """As it was given, and of nobody else's jobs."""
    name = SlurmName("0123abcd", 42, 1, "train")
    assert str(name) == "glmd-0123abcd-0042-1-train"
    assert SlurmName.of(str(name)) == name
    assert SlurmName.of("glmd-0123abcd-12345-10-train") == SlurmName("0123abcd", 12345, 10, "train")
    for other in ("glmd-probe-x1", "my job", "glmd-0123abcd-0042-1-train,x", "glmd-0123ABCD-0042-1-train"):
        assert SlurmName.of(other) is None


def test_a_root_has_an_id_when_something_of_it_was_in_slurm(tmp_path: Path) -> None:
    """What stands in its place is not guessed at."""
    assert known_id(Root(tmp_path)) is None
    (tmp_path / ID_FILE).write_text("0123abcd\n")
    assert known_id(Root(tmp_path)) == "0123abcd"
    (tmp_path / ID_FILE).write_text("mine")
    with pytest.raises(OSError, match="not 8 hexadecimal digits"):
        known_id(Root(tmp_path))
