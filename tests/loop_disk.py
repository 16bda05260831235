"""A small disk of its own: a file with a file system in it, mounted over a loop device. It takes root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def loop_disk(place: Path, mib: int) -> Iterator[None]:
    """Mount a disk of `mib` MiB at `place`, a directory that is made; it is gone in the end, whatever happens."""
    image = place.with_name(f"{place.name}.ext4")
    with image.open("wb") as stream:
        stream.truncate(mib << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", image, place], check=True)  # the device goes with the mount
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
        image.unlink()
