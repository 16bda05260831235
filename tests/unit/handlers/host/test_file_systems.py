"""Promises of handlers.host.file_systems."""

import subprocess
from pathlib import Path

import pytest

from handlers.host.file_systems import MOUNTINFO as THIS_HOST
from handlers.host.file_systems import NETWORK_SETTLE, file_system_type, least_settle, network_file_system

MOUNTINFO = rb"""22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /var/glm rw,relatime shared:5 master:2 - nfs4 nas:/glm rw,vers=4.2
31 30 259:2 / /var/glm/jobs rw - xfs /dev/sdb rw
32 22 0:40 / /mnt/two\040words rw - fuse.sshfs me@host:/ rw
33 22 0:41 / /mnt/twice rw - ext4 /dev/sdc rw
34 33 0:42 / /mnt/twice rw - lustre mgs:/scratch rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    (
        ("/", "ext4"),
        ("/var/glm", "nfs4"),
        ("/var/glm/inbox", "nfs4"),
        ("/var/glm/jobs/0001", "xfs"),
        ("/var/glmx", "ext4"),
        ("/mnt/two words/a", "fuse.sshfs"),
        ("/mnt/twice", "lustre"),
    ),
)
def test_the_innermost_and_latest_mount_counts(path: str, kind: str) -> None:
    """Names are compared by components, blanks are escaped, and a later mount hides an earlier one."""
    assert file_system_type(Path(path), MOUNTINFO) == kind


def test_this_host_agrees(tmp_path: Path) -> None:
    """The answer for a real directory is the one that stat(1) and df(1) give."""
    shown = subprocess.run(["df", "--output=fstype", tmp_path], check=True, capture_output=True, text=True)
    kind = file_system_type(tmp_path.resolve(), THIS_HOST.read_bytes())
    assert kind == shown.stdout.split()[-1]


def test_a_local_directory_is_not_slowed_down(tmp_path: Path) -> None:
    """Its attributes are true at once."""
    assert network_file_system(tmp_path) is None
    assert least_settle(tmp_path) == 0


@pytest.mark.parametrize("kind", ("nfs4", "virtiofs", "fuse.sshfs", "fuse"))
def test_files_on_a_network_settle_longer_than_attributes_are_cached(tmp_path: Path, kind: str) -> None:
    """Through a symbolic link, too: what counts is where the directory really is."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        f"22 1 259:1 / / rw - ext4 /dev/root rw\n23 22 0:9 / {tmp_path.resolve()}/real rw - {kind} nas:/ rw\n"
    )
    assert network_file_system(tmp_path / "link", mountinfo) == kind
    assert least_settle(tmp_path / "link", mountinfo) == NETWORK_SETTLE
    assert network_file_system(tmp_path, mountinfo) is None
