"""What sbatch is asked for."""

from handlers.slurm.placement import Placement, Site
from handlers.validate.slurm_section import SlurmWish, placed


def test_a_file_says_more_than_the_site() -> None:
    """And the site has the rest; options of both are kept, the file's last."""
    site = Site(partition="main", account="lab", time=3600.0, memory="0", gres="npu", options=("--nice=100",))
    wish = SlurmWish(nodes=2, partition="npu", options=("--switches=1",))
    placement = placed(site, wish, 2, 8)
    assert placement.options == (
        "--nodes=2", "--ntasks-per-node=1", "--time=60", "--mem=0", "--partition=npu", "--account=lab", "--gres=npu:8",
    )  # fmt: skip
    assert placement.extra == ("--nice=100", "--switches=1")
    assert placed(site, None, 2, 8).partition == "main"


def test_what_nobody_asks_for_is_left_to_slurm() -> None:
    """No limit of glmd's own, and a part of a minute is one."""
    assert Placement(nodes=1, devices_per_node=8).options == ("--nodes=1", "--ntasks-per-node=1")
    assert "--time=2" in Placement(nodes=1, time=61).options
