"""What of a job's directory is backed up by name: all but saves, outputs, secrets and what is being written."""

from pathlib import PurePath

from handlers.ckpt.publishing.manifest import NAME as MANIFEST

_WEIGHTS = frozenset({".ckpt", ".safetensors"})
_OF_A_PROCESS = frozenset({"environment.json", "lock"})
"""Of a step: what its processes had in their environments may be secret, and whose lock it was is gone."""


def is_record(place: PurePath) -> bool:
    """Say whether what lies at `place`, from the job's directory, is backed up: a file, or what a directory holds."""
    if place.name.startswith(".") and place.suffix == ".tmp":
        return False
    match place.parts:
        case ("merged", *inside):
            return inside in ([], [MANIFEST])
        case ("output", *inside) | ("attempts", _, "output", *inside):
            return not _is_save(inside)
        case ("attempts", _, "resume_from", *_):
            return False
        case ("attempts", _, _, name):
            return name not in _OF_A_PROCESS
    return True


def _is_save(inside: list[str]) -> bool:
    """Say whether this is of MindFormers' own saves. Its strategy files end in .ckpt, too, and are small."""
    if not inside or inside[0] == "strategy":
        return False
    is_of_saves = inside[0].startswith("checkpoint") or inside[0] == "transformed_checkpoint"
    return is_of_saves or PurePath(inside[-1]).suffix in _WEIGHTS
