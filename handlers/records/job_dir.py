"""Where things lie in one job's directory, and how steps and attempts name their files."""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Step(StrEnum):
    """A piece of a job's work that runs as its own process, under the shim."""

    TRAIN = "train"
    MERGE = "merge"
    EVALUATE = "evaluate"


_OF_AN_ATTEMPT = re.compile(r"attempts/[1-9]\d{0,14}/output", re.ASCII)
_MOST_DIGITS = 15
"""Of a job's or an attempt's number: far more than there will be, and SQLite takes it."""


def is_number(name: str) -> bool:
    """Say whether `name`, of a directory, is a job's or an attempt's number; somebody may have made others."""
    return name.isascii() and name.isdecimal() and len(name) <= _MOST_DIGITS


def rank_log_in(output: Path, rank: int) -> Path:
    """Return where rank `rank` prints to, in an output tree of MindFormers'."""
    return output / "log" / f"rank_{rank}" / "mindformer.log"


@dataclass(frozen=True)
class JobDir:
    """`ROOT/jobs/0042-run_glm_6b_finetune`: the truth about a job's work."""

    path: Path

    @property
    def submitted(self) -> Path:
        """The file as it was dropped, byte for byte."""
        return self.path / "submitted.yaml"

    @property
    def config(self) -> Path:
        """What runs: the dropped file without its `glmd:` section."""
        return self.path / "config.yaml"

    @property
    def checked(self) -> Path:
        """What the check of the dropped file found."""
        return self.path / "checked.json"

    @property
    def inputs(self) -> Path:
        """The files that the training is made from, as they were before it began."""
        return self.path / "inputs.json"

    @property
    def verdict(self) -> Path:
        """What the gate found of the merged output."""
        return self.path / "verdict.json"

    @property
    def plan(self) -> Path:
        """Devices, command lines and the merge to do; written before anything starts."""
        return self.path / "plan.json"

    @property
    def events(self) -> Path:
        """This job's log events, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def defect(self) -> Path:
        """The traceback of what glmd itself failed over, where it set the job aside."""
        return self.path / "defect.txt"

    @property
    def output(self) -> Path:
        """MindFormers' own tree: checkpoint/, log/, strategy/.

        Of a training on several nodes that is the present attempt's own, to which `output_link` leads: who refuses to
        go through links gets there, too.
        """
        try:
            target = os.readlink(self.output_link)  # noqa: PTH115 - asked for thousands of times
        except OSError:  # a directory, or nothing yet
            return self.output_link
        return self.path / target if _OF_AN_ATTEMPT.fullmatch(target) else self.output_link

    @property
    def output_link(self) -> Path:
        """Where that is, or what leads there."""
        return self.path / "output"

    @property
    def merged(self) -> Path:
        """Published results; only whole files, ever."""
        return self.path / "merged"

    @property
    def manifest(self) -> Path:
        """The manifest of what was merged, once that is no longer there."""
        return self.path / "manifest.json"

    def earlier_output(self, attempt: int) -> Path:
        """Where the output of an attempt that is over is kept once another one has begun."""
        return self._attempt(attempt) / "output"

    def resume_record(self, attempt: int) -> Path:
        """How an attempt after the first began."""
        return self._attempt(attempt) / "resume.json"

    def resume_from(self, attempt: int) -> Path:
        """Where the output tree lies with the one save that a resumed attempt began with."""
        return self._attempt(attempt) / "resume_from"

    def resumed_config(self, attempt: int) -> Path:
        """Where a resumed attempt finds what it runs: config.yaml and the keys for resuming."""
        return self._attempt(attempt) / "config.yaml"

    def rank_log(self, rank: int) -> Path:
        """Everything rank `rank` prints."""
        return rank_log_in(self.output, rank)

    def step(self, attempt: int, step: Step) -> "StepDir":
        """Return where `step` of attempt number `attempt` (from 1) keeps its records."""
        return StepDir(self._attempt(attempt) / step)

    def trainings(self) -> tuple[Path, ...]:
        """Return where the training of each attempt that was begun keeps its records, in their order."""
        return tuple(self.step(attempt, Step.TRAIN).path for attempt in self.attempts())

    def attempts(self) -> tuple[int, ...]:
        """Return the numbers of the attempts that were begun, also those that an older store knows nothing of."""
        names = [path.name for path in self._attempts.iterdir()] if self._attempts.is_dir() else []
        return tuple(sorted(int(name) for name in names if is_number(name)))

    @property
    def _attempts(self) -> Path:
        return self.path / "attempts"

    def _attempt(self, attempt: int) -> Path:
        return self._attempts / str(attempt)


@dataclass(frozen=True)
class StepDir:
    """`attempts/1/train`: the records of one run of one step."""

    path: Path

    @property
    def shim(self) -> Path:
        """Who runs the step: pid, start time, boot id."""
        return self.path / "shim.json"

    @property
    def exit(self) -> Path:
        """How the step ended; its existence says that it ended."""
        return self.path / "exit.json"

    @property
    def lock(self) -> Path:
        """Locked by the living shim, so that a second one for the same step ends at once."""
        return self.path / "lock"

    @property
    def plan(self) -> Path:
        """What an evaluation runs; that of the other steps is the job's."""
        return self.path / "plan.json"

    @property
    def stdout(self) -> Path:
        """What an evaluation prints."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """What it has to say beside that."""
        return self.path / "stderr.log"

    @property
    def environment(self) -> Path:
        """What the processes of a training or an evaluation have in their environments, for glmd's user alone."""
        return self.path / "environment.json"

    @property
    def stacks(self) -> Path:
        """Where each rank of a hung training was, rank_N.txt."""
        return self.path / "stacks"

    @property
    def log(self) -> Path:
        """The shim's own standard error, where no journal takes it."""
        return self.path / "shim.log"
