"""Names under which tools keep what is not a finished file."""

import fnmatch
import re

IGNORED = (
    ".*",  # rsync's and glmd's temporary names, vim's .NAME.swp, emacs' .#NAME, NFS' .nfs*, .DS_Store, .~lock.NAME#
    "*~",  # back-up copies of vim, emacs, gedit
    "#*#",  # emacs: auto-save
    "*.swp",  # vim: swap file, when set not to hide it
    "*.swo",  # vim: the second one
    "*.swx",  # vim: tries whether it may make a swap file
    "4913",  # vim: tries whether it may write into the directory
    "*.tmp",  # anyone who is careful and has no better idea
    "*.part",  # Firefox, KDE
    "*.partial",  # Internet Explorer
    "*.filepart",  # WinSCP
    "*.crdownload",  # Chrome
)
_IGNORED = re.compile("|".join(fnmatch.translate(pattern) for pattern in IGNORED))


def is_ignored(name: str) -> bool:
    """Tell whether `name` is one that a tool gives to what is not a finished file."""
    return _IGNORED.match(name) is not None
