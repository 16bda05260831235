"""Which file system a directory is on, and whether changes made elsewhere are told to this host."""

import os
from pathlib import Path

from handlers.host.mountinfo import MOUNTINFO, mounts

# inotify(7) tells of what goes through this host's kernel. On these, others write too. Names as the kernel gives them.
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "coda", "ncpfs"),  # file servers
        *("lustre", "beegfs", "gpfs", "ceph", "glusterfs", "orangefs", "pvfs2", "wekafs", "panfs"),  # clusters' storage
        *("gfs2", "ocfs2"),  # one disk, several hosts
        *("9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs"),  # a virtual machine's window on its host
    }
)

NETWORK_SETTLE = 5.0
"""Seconds without a change that mean something on a network file system: more than the 3 s for which nfs(5) answers
stat from its cache (acregmin), so that at least one answer came from the server."""


def network_file_system(directory: Path, mountinfo: Path = MOUNTINFO) -> str | None:
    """Return the type of the network file system that `directory` is on; None when it is on a local one.

    FUSE counts as network: what is behind it is unknown (sshfs, glusterfs, s3fs), and polling is never wrong.
    """
    kind = file_system_type(Path(os.path.realpath(directory)), mountinfo.read_bytes())
    return kind if kind in NETWORK or kind == "fuse" or kind.startswith("fuse.") else None


def least_settle(directory: Path, mountinfo: Path = MOUNTINFO) -> float:
    """Return how many seconds a file in `directory` must at least stay as it is to count as unchanging."""
    return NETWORK_SETTLE if network_file_system(directory, mountinfo) else 0.0


def file_system_type(path: Path, mountinfo: bytes) -> str:
    """Return the type of the file system that the absolute `path` (no symbolic links) is on, as `mountinfo` says.

    `mountinfo` is the content of /proc/PID/mountinfo, see proc_pid_mountinfo(5); empty when no line fits.
    """
    best, kind = -1, ""
    for mount in mounts(mountinfo):
        point = Path(mount.place)
        depth = len(point.parts)
        if depth >= best and path.is_relative_to(point):
            best, kind = depth, mount.kind
    return kind
