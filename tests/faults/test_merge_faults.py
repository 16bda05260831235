"""Whatever call of the merge fails: no name stands for a part, and the next merge ends the work."""

from itertools import count
from pathlib import Path

import pytest

from handlers.ckpt import CkptError, Manifest, merge, plan_merge, read_manifest, read_strategy, walk
from handlers.ckpt.planning.output import FILTERED
from tests.faults.injection import NUMBERS, Call, Injection
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run

CASES = [
    (call, number, force)
    for call, numbers in NUMBERS.items()
    for number in numbers
    for force in (False, True)
    if call not in {Call.COMMIT, Call.COMMITTED}  # a merge has no store
]
NOT_MADE = {
    (Call.RENAME, False),
    (Call.LINK, True),
    # Bytes go through a buffer, for they are hashed and sorted on their way; it is here for who changes that.
    (Call.COPY, False),
    (Call.COPY, True),
}
"""Calls that a merge does without, by whether it replaces an output."""


def merge_run(run: Run, destination: Path, *, force: bool) -> Manifest:
    """Merge a written run into the directory `destination`."""
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    return merge(
        plan_merge(shards, read_strategy(run.strategy)), destination, prefix=run.prefix, tag="31_4", force=force
    )


@pytest.mark.parametrize(("call", "number", "force"), CASES)
def test_a_merge_that_a_call_fails_can_be_repeated(
    quick: Path, monkeypatch: pytest.MonkeyPatch, call: Call, number: int, *, force: bool
) -> None:
    """The first call fails, the second, …: an error or the whole output, never a part; then the whole output."""
    monkeypatch.setattr("handlers.ckpt.files.transfer.FLUSH_EVERY", 1)
    run = small_run(quick / "output").write()
    hits = 0
    for first in count(1):
        destination = quick / f"merged_{first}"
        destination.mkdir()
        output = destination / FILTERED
        if force:
            output.write_bytes(b"old")
        injection = Injection(call, number, first, destination)
        with pytest.MonkeyPatch.context() as patch:
            injection.install(patch)
            injection.is_armed = True
            try:
                merge_run(run, destination, force=force)
            except (OSError, CkptError) as error:
                assert str(destination) in str(error) or isinstance(error, OSError)  # noqa: PT017 - either is right
            injection.is_armed = False
        assert not output.exists() or output.read_bytes() in {run.merged(), b"old"}
        manifest = merge_run(run, destination, force=force)
        assert output.read_bytes() == run.merged()
        assert read_manifest(destination / "manifest.json") == manifest
        assert sorted(path.name for path in destination.iterdir()) == [FILTERED, "manifest.json"]
        if not injection.fired:
            break
        hits += 1
    assert hits > 0 or (call, force) in NOT_MADE, "no call was hit"
