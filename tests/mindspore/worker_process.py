"""A process that does with MindSpore what it is told: worker.py, and how to talk with it."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.mindspore.cases import Case

PROGRAM = Path(__file__).with_name("worker.py")


class MindSporeError(Exception):
    """What MindSpore raised."""


@dataclass(frozen=True)
class Loaded:
    """A parameter as MindSpore loads it. A text has type `str` and no dims."""

    name: str
    dims: tuple[int, ...]
    type: str
    content: bytes


class Worker:
    """One process, for as many cases as come."""

    def __init__(self, python: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [python, PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"GLOG_v": "3", "OMP_NUM_THREADS": "1", "LOG_MF_PATH": f"{log}.of_mindformers"},
            )

    def close(self) -> None:
        """Let it end, and wait."""
        self._process.communicate()

    def ask(self, duty: str, **arguments: object) -> object:
        """Let it do a duty of worker.py; raises MindSporeError with what MindSpore says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": duty, **arguments}, default=os.fspath) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the worker died:\n{self._log.read_text(errors='replace')[-4000:]}"
        answer = json.loads(line)
        if "error" in answer:
            raise MindSporeError(answer["error"])
        return answer["ok"]

    def version(self) -> str:
        """Return MindSpore's version."""
        return str(self.ask("version"))

    def make(self, case: Case, directory: Path) -> str | None:
        """Make a case's shards and strategy files in `directory`, and reference.ckpt by MindSpore's merge.

        Returns how MindSpore's merge failed; None when it did not.
        """
        directory.mkdir(parents=True)
        (directory / "case.json").write_text(json.dumps(case.described()))
        np.savez(directory / "whole.npz", **case.whole())
        failure = self.ask("merge", directory=directory)
        return None if failure is None else str(failure)

    def load(self, path: Path) -> list[Loaded]:
        """Return what MindSpore loads from a checkpoint, in order."""
        with tempfile.TemporaryDirectory(dir=path.parent) as directory:
            contents = Path(directory) / "contents.npz"
            entries = self.ask("load", path=path, to=contents)
            assert isinstance(entries, list)
            with np.load(contents) as arrays:
                return [
                    Loaded(name, tuple(dims), kind, arrays[str(index)].tobytes())
                    for index, (name, dims, kind) in enumerate(entries)
                ]
