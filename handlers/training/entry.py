"""What the training interpreter is told to run: a checkout's run_mindformer.py, or what stands in for it."""

import re
from pathlib import Path

RUN_MINDFORMER = "run_mindformer.py"

_MODULE = re.compile(r"(?!.*\.py$)[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def script_of(entry: str, checkout: Path) -> Path | None:
    """Return the script that `entry` names, by its absolute path or one in `checkout`; None where it names a module.

    A module is written with dots, as people import it; a script has a `/` or ends in `.py`.
    """
    return None if _MODULE.fullmatch(entry) else checkout.absolute() / entry


def checked_entry(entry: str) -> str:
    """Return `entry`; raises ValueError where it is neither a module nor a script."""
    if _MODULE.fullmatch(entry) or "/" in entry or entry.endswith(".py"):
        return entry
    raise ValueError(f"{entry!r} is neither a module, as package.train, nor a script, as {RUN_MINDFORMER}")
