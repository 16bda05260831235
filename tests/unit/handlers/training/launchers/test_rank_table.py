"""One process per device, met by a rank table."""

from pathlib import Path

from handlers.records.job_dir import JobDir
from handlers.training.launchers import Launch
from handlers.training.launchers.rank_table import rank_table


def test_a_rank_is_told_its_number_its_device_and_the_table(tmp_path: Path) -> None:
    """And nothing else: what it needs to know of the others is in the table."""
    launch = Launch(
        job_dir=JobDir(tmp_path),
        devices=(6, 4),
        device_target="Ascend",
        rank_table=tmp_path / "hccl_2p_64_10.0.0.1.json",
        python=Path("/opt/python"),
        command=("/opt/python", "run_mindformer.py"),
        environment={"HOME": "/home/glm", "RANK_ID": "left over"},
    )
    ranks = rank_table(launch)
    assert [rank.environment for rank in ranks] == [
        {
            "HOME": "/home/glm",
            "RANK_ID": number,
            "RANK_SIZE": "2",
            "DEVICE_ID": device,
            "RANK_TABLE_FILE": str(tmp_path / "hccl_2p_64_10.0.0.1.json"),
        }
        for number, device in (("0", "6"), ("1", "4"))
    ]
