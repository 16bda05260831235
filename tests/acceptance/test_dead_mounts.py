"""Storage that never answers holds up what needs it, and nothing else."""

import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon.core.control import ask
from daemon.core.states import State
from tests.acceptance.dead_mount import Dead, DeadMount
from tests.acceptance.house import CONFIG, House

pytestmark = pytest.mark.root


@pytest.fixture
def mounts(house: House, tmp_path: Path) -> Iterator[ExitStack]:
    """Close what is entered here before the daemon's end is waited for: nothing else ends who waits."""
    with ExitStack() as mounts:
        (tmp_path / "mnt").mkdir()
        yield mounts
        if house.daemon:
            house.daemon.kill()


def headline(house: House) -> str:
    """Return what `systemctl status` would say; it comes within a second, whatever hangs."""
    began = time.monotonic()
    answer = ask(house.root, "ping")
    assert time.monotonic() - began < 1
    return answer


def needs(mount: Path, house: House) -> str:
    """Return a config whose data are within `mount`."""
    return CONFIG.format(data=house.data, devices="[0,2)").replace(f"{house.data}/train.json", f"{mount}/train.json")


def test_eighty_dead_mounts_hold_up_nobody_else(house: House, mounts: ExitStack, tmp_path: Path) -> None:
    """As data sets, behind links, of all kinds; with the files of one mount dropped again and again, and a restart."""
    dead = [DeadMount(tmp_path / "mnt" / str(number), list(Dead)[number % 3]) for number in range(80)]
    for each in dead:
        mounts.callback(each.close)
    (tmp_path / "link").symlink_to(dead[0].path)
    house.start()
    for number, each in enumerate(dead):
        house.drop(f"dead{number}.yaml", text=needs(each.path, house))
    for number in range(8):
        house.drop(f"again{number}.yaml", text=needs(tmp_path / "link", house) + f"# {number}\n")
    house.wait(lambda: len(list((house.root / "claims").iterdir())) == 88, "all to be claimed")
    house.drop("good.yaml")
    house.until(State.DONE)
    house.wait(lambda: "does not answer since" in headline(house), "the headline to tell")
    assert str(tmp_path / "mnt") in headline(house)
    house.stop()
    house.start().drop("good2.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + "# another\n")
    house.until(State.DONE, 2)
    mounts.close()
    house.wait(lambda: len(house.jobs()) == 90, "what waited for the mounts to be decided")


def test_a_job_that_prepares_for_a_dead_mount_is_cancelled_at_once(
    house: House, mounts: ExitStack, tmp_path: Path
) -> None:
    """Its devices are free for the next one; when the mount is back, a retry trains."""
    house.settings["preflight"] = "off"
    house.environment(STANDIN_GATE=str(house.gate))
    place = tmp_path / "mnt" / "data"
    place.mkdir()
    shutil.copy(house.data / "train.json", place)
    house.start().drop("first.yaml")
    house.until(State.TRAINING)
    house.drop("second.yaml", text=needs(place, house))
    house.until_taken("second.yaml")
    mount = DeadMount(place)
    mounts.callback(mount.close)
    house.gate.touch()
    house.until(State.PREPARING, 2)
    began = time.monotonic()
    assert house.run("cancel", "2").returncode == 0
    assert "cancelled by" in house.until(State.CANCELLED, 2).reason
    assert time.monotonic() - began < 5
    assert house.run("retry", "2").returncode == 0
    house.wait(lambda: f"{place}/train.json" in headline(house), "the headline to tell")
    assert "job 2" in headline(house)
    mounts.close()
    house.until(State.DONE, 2)


@pytest.mark.parametrize("what", ("checkout", "python"))
def test_a_dead_interpreter_or_checkout_is_told_and_replaced_by_a_reload(
    house: House, mounts: ExitStack, tmp_path: Path, what: str
) -> None:
    """At start-up, too: the daemon comes up, says what it waits for, and takes other settings."""
    mount = DeadMount(tmp_path / "mnt" / "mindformers", Dead.WITHIN)
    mounts.callback(mount.close)
    good = dict(house.training)
    house.training[what] = str(mount.path / "bin" / "python")
    del house.training["mindformers"]
    house.start().drop()
    house.wait(lambda: str(mount.path) in headline(house), "the headline to tell")
    house.training.update(good)
    house.stop()
    house.start()
    house.until(State.DONE)


def test_a_dead_tree_does_not_keep_others_from_being_merged(house: House, mounts: ExitStack, tmp_path: Path) -> None:
    """Each is followed by a process of its own."""
    for number in range(8):
        mount = DeadMount(tmp_path / "mnt" / f"tree{number}", list(Dead)[number % 3])
        mounts.callback(mount.close)
    tree = tmp_path / "mnt" / "tree8"
    house.settings["watch"] = [
        {"path": str(tmp_path / "mnt" / f"tree{number}"), "needs_strategy": False, "ranks": 2, "quiet": "0s"}
        for number in range(9)
    ]
    house.start()
    for rank in (0, 1):
        path = tree / "checkpoint" / f"rank_{rank}" / f"glm_rank_{rank}-31_4.ckpt"
        path.parent.mkdir(parents=True)
        tensor = b"\x08\x01\x12\x07Float32\x1a\x04" + struct.pack("<f", 1.0)
        value = b"\x0a\x01w\x12" + bytes([len(tensor)]) + tensor
        path.write_bytes(b"\x0a" + bytes([len(value)]) + value)
        path.chmod(0o400)
    house.until(State.DONE)
    house.wait(lambda: "tree0" in headline(house), "the headline to tell")
