"""What the processes of a training have in their environments."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from handlers.host.service_manager import for_children

_NOT_INHERITED = re.compile(
    # The daemon's own interpreter, which is not the training's.
    r"PYTHONHOME|VIRTUAL_ENV|__PYVENV_LAUNCHER__"
    # What makes a process a rank: a left-over of an earlier run by hand would make it another one.
    r"|RANK_ID|RANK_SIZE|RANK_TABLE_FILE|DEVICE_ID|MS_ROLE|MS_WORKER_NUM|MS_SERVER_NUM|MS_SCHED_.*|MS_NODE_ID"
    r"|MSRUN_.*"
    # What makes a process a part of a Slurm job, or of its MPI: a daemon may be started in one.
    r"|SLURMD?_.*|SBATCH_.*|SRUN_.*|PMI.*"
    # Secrets of the user who started glmd. A training that needs one gets it by `training.environment`.
    r"|(?:.*_)?(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|API_KEY|ACCESS_KEY|PRIVATE_KEY)(?:_.*)?"
)


def inherited() -> dict[str, str]:
    """Return what programs that glmd starts have of its own environment: no secrets, and nothing that makes a rank."""
    return {
        name: value
        for name, value in for_children(os.environ).items()
        if not _NOT_INHERITED.fullmatch(name) and _is_unicode(name + value)
    }


def whole_environment(
    below: Mapping[str, str], given: Mapping[str, str], python: Path, checkout: Path, output: Path
) -> dict[str, str]:
    """Return the environment of a process of MindFormers: what the settings have `given` over what lies `below`."""
    environment = {
        **below,
        # Where run_distribute.sh lets downloads go, so that what was downloaded by hand is found.
        "CHECKPOINT_DOWNLOAD_FOLDER": str(checkout.absolute() / "checkpoint_download"),
        **given,
    }
    return {
        **environment,
        "PATH": _in_front(python.parent, environment.get("PATH", os.defpath)),
        "PYTHONPATH": _in_front(checkout.absolute(), environment.get("PYTHONPATH", "")),
        "LOCAL_DEFAULT_PATH": str(output),
        "LOG_MF_PATH": str(output / "log"),
        "PYTHONUNBUFFERED": "1",  # the last line before a crash is the one that counts
    }


def _is_unicode(text: str) -> bool:
    """Say whether environment.json can hold `text`: undecodable bytes in an environment come as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_front(directory: Path, search_path: str) -> str:
    return os.pathsep.join([str(directory), *(part for part in search_path.split(os.pathsep) if part)])
