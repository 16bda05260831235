"""Looking at a backup: whether it is whole, and what a root that is made of it would have. It only reads."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from pydantic import ValidationError

from daemon.client.backup.outputs import links
from daemon.core.backup_record import FORMAT, NAME, BackedUpOutput, BackupRecord
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.audit import Disagreement, Kind, check_state
from daemon.face.audit.disagreement import START_GLMD
from daemon.face.audit.job_rules import NEWER_STORE
from handlers.ckpt import CkptError, verify
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.publishing.manifest import NAME as MANIFEST
from handlers.ckpt.publishing.manifest import read_manifest
from handlers.codes import Code
from handlers.errors import BadInputError, RefusedError
from handlers.merging.latest import damage, whole

_OF_A_LIVING_ROOT = frozenset({Kind.CLAIM_LEFT, Kind.NO_SHIM, Kind.STRAY_SHIM})
"""What a root has that was copied while glmd was at work: a start of glmd goes on from there."""


@dataclass(frozen=True)
class Checked:
    """What was found."""

    record: BackupRecord
    states: Mapping[State, int]
    """How many jobs are in which state."""
    latest: Mapping[str, str]
    """Where each `latest/PREFIX` leads, from the root; or the whole path, where that is outside."""
    problems: tuple[str, ...]
    mended: tuple[Disagreement, ...]
    """What the next start of glmd fixes."""

    @property
    def at_work(self) -> int:
        """How many jobs begin their steps again, or cannot: what they had saved is not in a backup."""
        return sum(count for state, count in self.states.items() if not state.is_over and state is not State.QUEUED)


def read_record(backup: Path) -> BackupRecord:
    """Return what is in a backup. Raises BadInputError where it is none, RefusedError for one of a newer glmd."""
    path = backup / NAME
    try:
        content = read_bounded(path, BackupRecord.MOST_BYTES)
        version = json.loads(content)["format"]
    except (OSError, CkptError, ValueError, RecursionError, TypeError, KeyError) as error:
        raise BadInputError(
            f"{path}: it cannot be read ({error}), so {backup} is no backup; name a directory that glmd backup made",
            Code.BACKUP_NONE,
        ) from error
    if version != FORMAT:
        raise RefusedError(
            f"{path}: a newer glmd made this backup: its format is {version!r:.20}, and this glmd knows {FORMAT}; "
            "install the newer one",
            Code.BACKUP_NEWER,
        )
    try:
        return BackupRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInputError(
            f"{path}: {where}: {first['msg']}; it is no backup.json of glmd", Code.BACKUP_NONE
        ) from error


def check(backup: Path, *, deep: bool) -> Checked:
    """Look at a backup; `deep` reads all outputs, and holds them against the hashes of their manifests.

    Raises StoreError where its store cannot be used, what `read_record` raises, and OSError.
    """
    record, root = read_record(backup), Root(backup)
    with ReadStore.open(root.store) as store:
        states = Counter(job.state for job in store.jobs())
    problems = [f"{lack.place}: {lack.why}" for lack in record.lacks]
    for output in record.outputs:
        problems += _of_output(backup, output, deep=deep)
    latest = {link.prefix: str(link.target or link.path) for link in links(root)}
    problems += _of_latest(root)
    found = check_state(root)
    problems += [str(one) for one in found if not _is_mended(one)]
    return Checked(record, states, latest, tuple(problems), tuple(filter(_is_mended, found)))


def _is_mended(one: Disagreement) -> bool:
    """Say whether the next start of glmd fixes it, as it does with the store of an older backup."""
    match one.kind:
        case Kind.DIRECTORY_WITHOUT_JOB:
            return one.job is not None and any((one.where / name).exists() for name in ("submitted.yaml", "plan.json"))
        case Kind.EXIT_CONTRADICTS:
            return one.repair in {START_GLMD, NEWER_STORE}
    return one.kind in _OF_A_LIVING_ROOT


def _of_output(backup: Path, output: BackedUpOutput, *, deep: bool) -> Iterator[str]:
    directory = backup / output.target
    try:
        if what := damage(directory, read_manifest(directory / MANIFEST)):
            yield what
        elif deep:
            for problem in verify(directory).problems:
                yield f"{directory}: {problem}"
    except (OSError, CkptError) as error:
        yield f"{directory / MANIFEST}: {error}"


def _of_latest(root: Root) -> Iterator[str]:
    for link in links(root):
        if link.target is None:
            yield f"latest/{link.prefix}: it leads out of the backup, to {link.path}"
        elif whole(link.path, link.prefix) is None:
            yield f"latest/{link.prefix}: it must lead to a whole output of its prefix, but leads to {link.target}"


def steps(backup: Path, record: BackupRecord) -> tuple[str, ...]:
    """Return the commands that put a backup into the place of the root that it was made of."""
    root = PurePath(record.root)
    kept = record.store
    store = [] if kept is None else [f"sudo mv {kept} {kept}.before", f"sudo install -d -o glm -g glm {kept}"]
    store += [] if kept is None else [f"sudo mv {root}/glmd.db {kept}/"]
    where = [f"sudo cp -p {backup.absolute()}/settings.yaml {record.settings}"] if _is_elsewhere(record) else []
    return (
        "sudo systemctl stop glmd                # let jobs that run end before, or glmd cancel them",
        f"sudo mv {root} {root}.before",
        f"sudo cp -a {backup.absolute()} {root}",
        *store,
        *where,
        "sudo systemctl start glmd && glmd doctor --state",
    )


def _is_elsewhere(record: BackupRecord) -> bool:
    return record.settings is not None and PurePath(record.settings).parent != PurePath(record.root)
