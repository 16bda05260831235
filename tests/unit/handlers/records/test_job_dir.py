"""Where things lie in a job's directory."""

from pathlib import Path

import pytest

from handlers.records.job_dir import JobDir


def test_the_output_of_a_training_on_nodes_is_the_attempts_own(tmp_path: Path) -> None:
    """Whoever goes through no link finds what it leads to; of all others the output is a directory of that name."""
    directory = JobDir(tmp_path)
    assert directory.output == tmp_path / "output"
    directory.output_link.symlink_to(Path("attempts", "2", "output"))
    assert directory.output == directory.earlier_output(2)
    assert directory.rank_log(3).is_relative_to(directory.earlier_output(2))


@pytest.mark.parametrize(
    "target", ("/etc", "../0001-other/output", "attempts/../../x/output", "attempts/0/output", "x")
)
def test_a_link_that_leads_elsewhere_is_followed_by_nobody(tmp_path: Path, target: str) -> None:
    """Somebody else has made it."""
    directory = JobDir(tmp_path)
    directory.output_link.symlink_to(target)
    assert directory.output == directory.output_link
