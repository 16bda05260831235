"""The link `latest/PREFIX`, from which others go on: where it leads, and whether what lies there is whole."""

import os
from pathlib import Path

from handlers.ckpt import CkptError
from handlers.ckpt.files.durable import publish_symlink
from handlers.ckpt.files.listing import freshen
from handlers.ckpt.publishing.manifest import NAME, Manifest, read_manifest
from handlers.merging.promotion import Merged


def whole(directory: Path, prefix: str) -> Merged | None:
    """Return the output in `directory`; None where that is no whole one of `prefix`. Raises OSError."""
    freshen((directory / NAME,), directory.parent)  # another host may have merged since this one looked
    if not (directory / NAME).is_file():  # nor where links lead in a circle
        return None
    try:
        manifest = read_manifest(directory / NAME)
    except (FileNotFoundError, CkptError):  # removed meanwhile, or damaged
        return None
    return None if manifest.prefix != prefix or damage(directory, manifest) else Merged.of(directory, manifest)


def damage(directory: Path, manifest: Manifest) -> str:
    """Return what is wrong with the files of which `manifest` speaks; empty where all are there, with their sizes."""
    sizes = {file.name: file.size for file in manifest.files}
    for name in manifest.names:
        path = directory / name
        try:
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return f"{path} is not there, though {NAME} names it"
        if (written := sizes.get(name, size)) != size:
            return f"{path} has {size} bytes, and {written} were written"
    return ""


def is_occupied(link: Path) -> bool:
    """Say whether somebody has put something else in place of `link`, which glmd leaves alone."""
    return os.path.lexists(link) and not link.is_symlink()


def leads_to(link: Path) -> Path | None:
    """Return where `link` leads, be anything there or not; None where it is no link."""
    return real(link) if link.is_symlink() else None


def real(path: Path) -> Path:
    """Return `path` without symbolic links, be anything there or not: two ways to one place are the same then."""
    return Path(os.path.realpath(path))


def lead(link: Path, directory: Path) -> None:
    """Let `link` lead to `directory`, in one step, so that it does in a root that is moved, too. Raises OSError."""
    publish_symlink(link, Path(os.path.relpath(real(directory), real(link.parent))))
