"""The files that a training is made from: noted before it begins, and hashed when it has come to its end.

The hashes are taken by the merge, which holds no devices. What is another file by then was changed while it was
trained on: of that the output says so, and has no hash.
"""

import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue

from pydantic import ValidationError

from handlers.inputs.hashing import ChangedError, noted, sha256_of
from handlers.records.inputs import Input, Inputs, TrainedOn
from handlers.records.job_dir import JobDir

PATIENCE = 300.0
"""Seconds that storage may take for one piece of a file: the output is not to wait for dead storage for ever."""


def note(paths: Collection[str], directory: JobDir) -> None:
    """Write down what `paths` are now, if there are any. Raises OSError."""
    if paths:
        Inputs(files=tuple(noted(Path(path)) for path in paths)).publish(directory.inputs)


def trained_on(directory: JobDir, patience: float = PATIENCE) -> tuple[TrainedOn, ...]:
    """Return what a job was trained on, each file that has not changed since with its hash.

    Nothing that is wrong with a file keeps an output from being published: it is said of the file. Raises OSError
    where the note itself cannot be read.
    """
    try:
        files = Inputs.read(directory.inputs).files
    except (FileNotFoundError, ValidationError):  # nothing was noted; or somebody has written it
        return ()
    found: SimpleQueue[TrainedOn | None] = SimpleQueue()
    threading.Thread(target=_hash, args=(files, found), daemon=True, name="glmd-hashing").start()
    hashed: list[TrainedOn] = []
    while len(hashed) < len(files):
        try:
            one = found.get(timeout=patience)
        except Empty:
            return (*hashed, *(_without(file, "its storage does not answer") for file in files[len(hashed) :]))
        if one is not None:
            hashed.append(one)
    return tuple(hashed)


def _hash(files: Iterable[Input], found: "SimpleQueue[TrainedOn | None]") -> None:
    """Put what becomes of each file into `found`, and None for each piece that was read."""
    for file in files:
        try:
            digest = sha256_of(file, lambda _: found.put(None))
        except ChangedError as error:
            found.put(_without(file, f"changed since the training began: {error}"))
        except FileNotFoundError:
            found.put(_without(file, "changed since the training began: it is not there any more"))
        except OSError as error:
            found.put(_without(file, f"cannot be read: {error.strerror}"))
        else:
            found.put(TrainedOn(file.path, file.bytes, digest))


def _without(file: Input, why: str) -> TrainedOn:
    return TrainedOn(file.path, file.bytes, None, why)
