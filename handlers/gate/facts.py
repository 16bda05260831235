"""Reading what is known of an output and of its champion: manifests, the record of the training, verdicts."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from handlers.ckpt import CkptError
from handlers.ckpt.copying.finite import named
from handlers.ckpt.publishing.manifest import NAME, Manifest, read_manifest
from handlers.gate.configuration import configuration
from handlers.gate.standing import Candidate, Champion, Loss, Trained
from handlers.gate.verdict import Input, Verdict
from handlers.merging.latest import damage
from handlers.records.checked import Checked
from handlers.records.job_dir import JobDir
from handlers.training_record.training import training_in
from handlers.validate.document import parse
from handlers.validate.problem import ConfigError

_DATA = ("train_dataset.", "train_dataset_task.")
"""Where a YAML names the data of a training."""
_MOST_FILES = 10_000
"""Of a data set that is a directory; of a larger one nothing is known."""


def candidate_of(job_dir: JobDir, over: int) -> Candidate:
    """Return what is known of a job's merged output; its loss is the mean of the last `over` steps. Raises OSError."""
    is_of_a_training = job_dir.submitted.exists()
    try:
        manifest = read_manifest(job_dir.merged / NAME)
    except FileNotFoundError:
        return Candidate(damage=f"{job_dir.merged / NAME} is not there: nothing was merged")
    except CkptError as error:
        return Candidate(damage=str(error))
    if found_damage := damage(job_dir.merged, manifest):
        return Candidate(damage=found_damage)
    found = manifest.not_finite
    return Candidate(
        not_finite=named(found) if found else "",
        not_finite_count=len(found) if manifest.counted else None,
        loss=_final_loss(job_dir, over),
        is_of_a_training=is_of_a_training,
        trained=_trained(job_dir, manifest) if is_of_a_training else Trained(),
    )


def champion_of(link: Path, merged: Path) -> Champion | None:
    """Return what is known of the output that `link` leads to; None where that is none, or `merged` itself.

    Raises OSError.
    """
    directory = link.resolve()
    if directory == merged.resolve() or not (directory / NAME).is_file():
        return None
    try:
        manifest = read_manifest(directory / NAME)
    except (FileNotFoundError, CkptError):  # removed meanwhile, or damaged
        return None
    job = manifest.origin.job if manifest.origin else None
    name = str(directory) if job is None else f"job {job}"
    try:
        verdict = Verdict.read(JobDir(directory.parent).verdict)
    except (FileNotFoundError, ValidationError):  # of an older glmd, or of no job
        return Champion(name, str(directory), job, is_judged=False)
    return Champion(
        name,
        str(directory),
        job,
        loss=verdict.final_loss,
        trained=Trained(verdict.configuration, verdict.inputs),
        metrics=verdict.metrics,
        evaluation=verdict.evaluation,
    )


def _final_loss(job_dir: JobDir, over: int) -> Loss | None:
    training = training_in(job_dir.trainings())
    return None if training is None else Loss(training.final(over), min(over, len(training.rows)))


def _trained(job_dir: JobDir, manifest: Manifest) -> Trained:
    try:
        checked = Checked.read(job_dir.checked)
        content = job_dir.config.read_bytes()
        data = parse(content, job_dir.config.name, len(content)).root.data
    except (FileNotFoundError, ValidationError, ConfigError):  # of an older glmd, or damaged
        return Trained()
    config = {str(key): value for key, value in data.items()} if isinstance(data, dict) else {}
    digest = configuration(config, checked.ranks)
    return Trained(digest, _hashed(manifest) or _seen(checked))


def _hashed(manifest: Manifest) -> tuple[Input, ...] | None:
    """Return the data as the manifest has them, with their hashes; None where it has not all of these."""
    if not all(one.sha256 for one in manifest.inputs):
        return None
    return tuple(Input(path=one.path, bytes=one.bytes, sha256=one.sha256 or "") for one in manifest.inputs) or None


def _seen(checked: Checked) -> tuple[Input, ...] | None:
    """Return the data that the YAML names as they lie there now; None where that cannot be told."""
    named = dict.fromkeys(look.path for look in checked.paths if look.at.where.startswith(_DATA))
    found: list[Input] = []
    try:
        for path in named:
            for file in _files(Path(path)):
                status = file.stat()
                found.append(Input(path=str(file), bytes=status.st_size, mtime_ns=status.st_mtime_ns))
                if len(found) > _MOST_FILES:
                    return None
    except OSError:  # they were only needed for training
        return None
    return tuple(found) or None


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    for parent, _, names in os.walk(path):
        yield from (Path(parent, name) for name in names)
