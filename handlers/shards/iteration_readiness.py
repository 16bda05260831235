"""Whether a save in MindFormers' new format is complete: the tracker confirms it, and all of it is whole."""

from handlers.ckpt import CkptError, Format, open_iteration
from handlers.shards.choice import Wanted
from handlers.shards.iterations import choose_iteration
from handlers.shards.names import LAST, Shard
from handlers.shards.readiness import NotReady, Readiness, Ready


def iteration_readiness(wanted: Wanted, *, is_vouched: bool = False) -> Readiness:
    """Tell whether the save that is wanted is complete, or why not; its files stand for the shards. Raises OSError.

    `is_vouched` is as for `choose_iteration`.
    """
    try:
        chosen = choose_iteration(wanted.source, str(wanted.tag or LAST), wanted.prefix, is_vouched=is_vouched)
        opened = open_iteration(chosen.directory)
    except CkptError as error:
        return NotReady(str(error))
    if wanted.ranks not in {None, opened.metadata.ranks}:
        return NotReady(f"{opened.metadata.path} describes {opened.metadata.ranks} ranks, not {wanted.ranks}")
    shards = tuple(
        Shard(file.path, chosen.prefix, number, 0, chosen.tag, Format.SAFETENSORS)
        for number, file in opened.shards.items()
    )
    return Ready(chosen.prefix, chosen.tag, shards, tuple(file.fingerprint for file in opened.shards.values()))
