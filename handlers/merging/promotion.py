"""Whether a merged output becomes `latest`: the newer training does, no matter which is merged last. Only a decision.

Newer is, by the first of these that can be told:

1. of the same watched tree, the higher tag; of the same tag, what was written later;
2. of two jobs that glmd has trained, the one whose training began later. A retry or a resume keeps its first beginning;
3. else, as between a job and a tree or two trees, the one whose shards were written later.

An output of before glmd kept these facts is judged by what its manifest has: its tag and where its shards lay, if it is
of the same tree; when they were written. What is not known to be newer does not become `latest`. What was promoted
once and taken back counts as well, so that it does not come back by itself, and nothing older takes its place.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePath
from typing import Self

from handlers.ckpt.planning.origin import Origin
from handlers.ckpt.publishing.manifest import Manifest
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.shards.names import Tag


@dataclass(frozen=True)
class Merged:
    """A merged output, as far as it matters to whether it is the newest."""

    directory: Path
    """Absolute, without symbolic links."""
    tag: Tag | None
    """None where the manifest has none that can be read."""
    written: int
    """When the last of its shards was written, in ns since the epoch."""
    origin: Origin | None = None
    """None where nothing is known of it."""
    sources: tuple[str, ...] = ()
    """The shards' paths."""
    not_finite: tuple[str, ...] = ()
    """Parameters with a NaN or an infinity."""

    @classmethod
    def of(cls, directory: Path, manifest: Manifest) -> Self:
        """Describe the output in `directory`, of which this is the manifest. Raises OSError."""
        return cls(
            directory=directory.resolve(),
            tag=_tag(manifest.tag),
            written=max((source.mtime_ns for source in manifest.sources.values()), default=0),
            origin=manifest.origin,
            sources=tuple(source.path for source in manifest.sources.values()),
            not_finite=tuple(manifest.not_finite),
        )

    @property
    def name(self) -> str:
        """What to call it, for people."""
        job = self.origin.job if self.origin else None
        return str(self.directory) if job is None else f"job {job}"


@dataclass(frozen=True)
class Verdict:
    """Whether an output becomes `latest`."""

    promoted: bool
    reason: str
    """For people, to be read after the link's name: `stays at job 41, whose training began later`."""
    code: str = field(default="", compare=False)
    """What programs tell a no by."""


def judge_by_all(
    published: Merged | None, earlier: Iterable[Merged], taken_back: Collection[Path], candidate: Merged
) -> Verdict:
    """Say whether `candidate` takes the place of what is `published` now, and is the newest of all that ever was.

    `earlier` is what was promoted besides, and `taken_back` where those lie of it that a rollback took back.
    """
    verdict = judge(published, candidate)
    if not verdict.promoted:
        return verdict
    stays = _stays(published)
    if candidate.directory in taken_back:
        return Verdict(promoted=False, reason=f"{stays}: {candidate.name} was taken back", code=Code.PROMOTION_UNDONE)
    for one in earlier:
        if not judge(one, candidate).promoted:
            reason = f"{stays}: {one.name}, which was promoted before, is newer than {candidate.name}"
            return Verdict(promoted=False, reason=reason, code=Code.PROMOTION_NOT_NEWEST)
    return verdict


def judge(published: Merged | None, candidate: Merged) -> Verdict:
    """Say whether `candidate` takes the place of what is `published`, None for nothing that is whole."""
    stays = _stays(published)
    if candidate.not_finite:
        reason = f"{stays}: NaN and infinity are not published"
        return Verdict(promoted=False, reason=reason, code=Code.PROMOTION_NOT_FINITE)
    if published is None:
        return Verdict(promoted=True, reason="is the first")
    if published.directory == candidate.directory:
        return Verdict(promoted=True, reason="is there already")
    if _are_of_one_tree(published, candidate) and published.tag is not None and candidate.tag is not None:
        is_higher = (published.tag, published.written) < (candidate.tag, candidate.written)
        save = f"{published.tag} of the same tree"
        return _by(is_higher, stays, f"with {save}", f"leaves {published.name}, with {save}")
    before, since = _began(published), _began(candidate)
    if before is not None and since is not None:
        why = f"leaves {published.name}, whose training began before"
        return _by(before < since, stays, "whose training began later", why)
    is_later = published.written < candidate.written
    return _by(is_later, stays, "whose shards were written later", f"leaves {published.name}, whose shards are older")


def _by(is_newer: bool, stays: str, why_not: str, why: str) -> Verdict:  # noqa: FBT001 - what it is about
    if is_newer:
        return Verdict(promoted=True, reason=why)
    return Verdict(promoted=False, reason=f"{stays}, {why_not}", code=Code.PROMOTION_NOT_NEWEST)


def _stays(published: Merged | None) -> str:
    return "stays as it is" if published is None else f"stays at {published.name}"


def _are_of_one_tree(published: Merged, candidate: Merged) -> bool:
    """Say whether both are of one watched tree: by what is kept of them, or by where the shards lay."""
    tree = candidate.origin.tree if candidate.origin else None
    if tree is None or published.origin is not None:
        return tree is not None and published.origin is not None and published.origin.tree == tree
    return bool(published.sources) and all(PurePath(source).is_relative_to(tree) for source in published.sources)


def _began(merged: Merged) -> datetime | None:
    """Return when the training of a job of glmd's began; None where that is not known."""
    try:
        began = datetime.fromisoformat((merged.origin and merged.origin.began) or "")
    except ValueError:
        return None
    return began if began.tzinfo is not None else None


def _tag(text: str) -> Tag | None:
    try:
        return Tag.parse(text)
    except BadInputError:
        return None
