"""Names that stay absent for a minute for whoever has looked for them too early, as on a network file system.

What does it is negative_cache.c, which gcc makes into a library that is preloaded into glmd's processes.
"""

import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("negative_cache.c")


def negative_cache(place: Path, below: Path) -> dict[str, str]:
    """Return the variables that let processes have it for `below`; `place` is a new directory for what it needs."""
    place.mkdir()
    library = place / "negative_cache.so"
    made = subprocess.run(
        ["gcc", "-O1", "-Wall", "-shared", "-fPIC", "-o", library, _SOURCE], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, f"install gcc and libc6-dev, as .ci/run does: {made.stderr}"
    return {
        "LD_PRELOAD": str(library),
        "NEGATIVE_CACHE": str(place),
        "NEGATIVE_BELOW": str(below),
        "NEGATIVE_HOST": "login",
    }
