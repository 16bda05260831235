"""Which merged outputs a backup has with their files, and how these get there.

They are what a training could go on from: what `latest/PREFIX` leads to, what a rollback could go back to, what each
nightly cycle starts from, and what jobs that are not over need or are about to promote.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from daemon.client.backup.tree import TreeCopy
from daemon.core.backup_record import BackedUpOutput
from daemon.core.promotions import target_of
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from handlers.ckpt import CkptError, verify
from handlers.ckpt.publishing.manifest import NAME, read_manifest
from handlers.merging.latest import damage, leads_to, real

ROLLBACKS = 3
"""Of each prefix, so many of what was promoted and not taken back, the newest ones."""


@dataclass(frozen=True)
class Link:
    """`latest/PREFIX`, and where it leads."""

    prefix: str
    target: PurePath | None
    """From the root; None where that is outside of it."""
    path: Path


def links(root: Root) -> Iterator[Link]:
    """Yield the links in `latest/`."""
    for link in sorted(root.latest.glob("[!.]*")):
        if (there := leads_to(link)) is not None:
            base = real(root.path)
            yield Link(link.name, there.relative_to(base) if there.is_relative_to(base) else None, there)


def wanted_outputs(store: ReadStore, root: Root) -> frozenset[PurePath]:
    """Return where the outputs lie, from the root, whether they are there or not."""
    found = {link.target for link in links(root) if link.target is not None}
    for prefix in store.promoted_prefixes():
        promoted = dict.fromkeys(one.target for one in store.promoted(prefix))
        there = [target for target in promoted if (root.path / target / NAME).is_file()]
        found.update(PurePath(target) for target in there[:ROLLBACKS])
        present = store.standing(prefix).present
        found.update([PurePath(present.target)] if present is not None and present.target else [])
    found.update(PurePath(one.target) for one in store.bases())
    needed, about = store.pinned(), {State.MERGING, State.EVALUATING}
    found.update(PurePath(target_of(job)) for job in store.jobs() if job.id in needed or job.state in about)
    return frozenset(target for target in found if is_a_jobs(target))


def is_a_jobs(target: PurePath) -> bool:
    """Say whether this is the output of a job of the root."""
    match target.parts:
        case ("jobs", _, "merged"):
            return True
    return False


def back_up_output(target: PurePath, tree: TreeCopy, destination: Path) -> BackedUpOutput | None:
    """Bring the files of an output to where its manifest already is; None where it is not there. Raises OSError.

    What is not as the manifest says is told as a lack. Hard links are not read: they are the same files.
    """
    copy = destination / target
    try:
        manifest = read_manifest(copy / NAME)
    except FileNotFoundError:
        return None
    except CkptError as error:
        tree.leave_out(target / NAME, str(error), is_lack=True)
        return None
    before, linked = tree.bytes, True
    for name in manifest.names:
        if not (linked := linked and tree.link(target / name)):
            tree.file(target / name)
    if what := damage(copy, manifest):
        tree.leave_out(target, what.replace(str(copy), str(target)), is_lack=True)
    elif not linked:
        for problem in verify(copy).problems:
            tree.leave_out(target, f"the copy is not what was written: {problem}", is_lack=True)
    return BackedUpOutput(target=str(target), prefix=manifest.prefix, bytes=tree.bytes - before, linked=linked)
