"""An output loaded by MindSpore itself, in the training environment, and compared with what glmd reads in it.

`handlers.ckpt.looking.verify` knows that the bytes are those that were written; this knows that MindSpore takes them
for the same parameters. It loads whole files, so it needs their size in memory.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from handlers.ckpt.entry import Entry, shape
from handlers.ckpt.files.transfer import blocks
from handlers.ckpt.formats.walk import walk
from handlers.ckpt.looking.verify import Problem
from handlers.ckpt.publishing.manifest import NAME, Manifest, read_manifest
from handlers.codes import Code
from handlers.errors import HandlerError
from handlers.rank_log.tail import tail

SCRIPT = Path(str(files("configs") / "verify" / "load_checkpoint.py"))
BLOCK = 1 << 20
LAST_WORDS = 8
"""Lines."""

Progress = Callable[[int, int], None]
"""Gets the parameters compared so far, and in all."""


class MindSporeError(HandlerError):
    """MindSpore could not load the output."""

    code = Code.VERIFY_MINDSPORE


@dataclass(frozen=True)
class DeepVerification:
    """What MindSpore made of an output."""

    mindspore: str
    """Its version."""
    compared: int
    """Parameters."""
    problems: tuple[Problem, ...]


def deep_verify(directory: Path, python: Path, progress: Progress | None = None) -> DeepVerification:
    """Load the output in `directory` with the MindSpore of `python`, and compare names, shapes, types and contents.

    Raises MindSporeError with MindSpore's last words where it fails, CkptError and OSError where glmd itself cannot
    read the output: `handlers.ckpt.looking.verify` says more of that.
    """
    manifest = read_manifest(directory / NAME)
    wanted = _wanted(directory, manifest)
    total, problems = len(wanted), []
    with _loaded(python, [directory / file.name for file in manifest.files]) as printed:
        version = str(next(printed, {}).get("mindspore"))
        for found in printed:
            file, name = Path(str(found["file"])).name, str(found["name"])
            entry = wanted.pop((file, name), None)
            wrong = "glmd finds no such parameter" if entry is None else _compare(directory / file, entry, found)
            if wrong:
                problems.append(Problem(file, name, wrong))
            if progress is not None:
                progress(total - len(wanted), total)
    problems += [Problem(file, name, "MindSpore does not find it") for file, name in wanted]
    return DeepVerification(version, total - len(wanted), tuple(problems))


def _wanted(directory: Path, manifest: Manifest) -> dict[tuple[str, str], Entry]:
    """Return the entries of all files, as glmd reads them."""
    return {
        (file.name, name): entry
        for file in manifest.files
        for name, entry in walk(directory / file.name).entries.items()
    }


def _compare(path: Path, entry: Entry, found: Mapping[str, object]) -> str | None:
    """Say in which way MindSpore's parameter is another than ours, if it is."""
    described = f"{found['dtype']}{found['shape']}"
    if described != (ours := f"{entry.type}{list(shape(entry.dims))}"):
        return f"MindSpore loads it as {described}, glmd as {ours}"
    if found["hash"] != _hash(path, entry):
        return "MindSpore loads other bytes than glmd reads"
    return None


def _hash(path: Path, entry: Entry) -> str:
    """Return the hash that the script in the other environment gives: one that Python itself has."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        for block in blocks(stream.fileno(), entry.extents, path, memoryview(bytearray(BLOCK))):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _loaded(python: Path, paths: Sequence[Path]) -> Iterator[Iterator[Mapping[str, object]]]:
    """Yield the objects that the script prints. Whatever happens, nothing of it goes on running."""
    with (
        tempfile.NamedTemporaryFile(prefix="glmd-verify-", suffix=".log") as log,
        subprocess.Popen(
            [python, SCRIPT, *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield _printed(process, python, Path(log.name))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _printed(process: subprocess.Popen[bytes], python: Path, log: Path) -> Iterator[Mapping[str, object]]:
    for line in process.stdout or ():
        try:
            yield json.loads(line)
        except ValueError as error:
            raise MindSporeError(f"{python} is no Python with MindSpore: it answers {line[:80]!r}") from error
    if process.wait() != 0:
        words = "\n".join(f"  {line}" for line in [line for line in tail(log) if line.strip()][-LAST_WORDS:])
        raise MindSporeError(
            f"MindSpore could not load the output ({python}, exit code {process.returncode}):\n{words}"
        )
