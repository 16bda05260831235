"""Strategy files (`ckpt_strategy_rank_N.ckpt`): which layout each parameter of a run has.

Two forms, told apart by content, say the same: `handlers.ckpt.formats.strategy_proto` and
`handlers.ckpt.formats.strategy_json`. Every rank writes a file, the ranks of one pipeline stage the same one: which
stage it is stands with its operators, and its ranks are counted from 0. MindSpore's `merge_pipeline_strategys` joins
the files of all stages into one, in which the names of parameters begin with the stage, as in `1-lm_head.weight`.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import Fingerprint
from handlers.ckpt.errors import DamagedFileError, InconsistentError
from handlers.ckpt.files.opening import opened
from handlers.ckpt.formats.strategy_json import parse_json
from handlers.ckpt.formats.strategy_proto import parse_proto
from handlers.ckpt.layout import MAX_RANKS, Layout

MAX_SIZE = 32 << 20
"""Bytes. GLM-6B's file has 105,186; names, not shapes, make its size."""
MAX_STAGE = 1 << 16

_JOINED = re.compile(r"(\d+)-(.+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Stage:
    """The parameters of a pipeline stage; a run without pipeline parallelism has one."""

    path: Path
    """The file that says so."""
    layouts: Mapping[str, Layout]


@dataclass(frozen=True)
class Strategy:
    """What a run's strategy files say."""

    files: Mapping[Path, Fingerprint]
    """Those that were needed: one a stage, or a joined one."""
    stages: Mapping[int, Stage]

    @property
    def path(self) -> Path:
        """The first file, for messages."""
        return next(iter(self.files))

    @cached_property
    def layouts(self) -> Mapping[str, Layout]:
        """The layouts of all stages; the first stage's where several share a parameter."""
        layouts: dict[str, Layout] = {}
        for stage in self.stages.values():
            for name, layout in stage.layouts.items():
                layouts.setdefault(name, layout)
        return layouts

    @cached_property
    def stage_ranks(self) -> int:
        """How many ranks a stage has; raises InconsistentError where parameters disagree or it is beyond all bounds."""
        counts = {layout.ranks: name for name, layout in self.layouts.items()}
        if len(counts) != 1:
            shown = ", ".join(f"{name} is on {count} ranks" for count, name in sorted(counts.items())[:5])
            raise InconsistentError(
                f"{self.path}: parameters disagree on the number of ranks: {shown}", Code.STRATEGY_UNFIT
            )
        ranks = next(iter(counts))
        if ranks * (max(self.stages) + 1) > MAX_RANKS:
            raise InconsistentError(
                f"{self.path}: {max(self.stages) + 1} pipeline stages of {ranks} ranks: no run has over {MAX_RANKS}",
                Code.RANKS_DIFFER,
            )
        return ranks

    @property
    def ranks(self) -> int:
        """How many ranks all stages have; raises InconsistentError where parameters disagree or a stage is missing."""
        missing = [stage for stage in range(max(self.stages)) if stage not in self.stages]
        if missing:
            shown = ", ".join(map(str, missing[:5])) + ", …" * (len(missing) > 5)
            raise InconsistentError(
                f"{self.path}: it is of pipeline stage {min(self.stages)}, and no file of stage {shown} is given: "
                "give the directory of the strategy files, or the file that merge_pipeline_strategys made of them",
                Code.STAGES_INCOMPLETE,
            )
        return self.stage_ranks * len(self.stages)

    def stage_of(self, rank: int) -> Stage:
        """Return the stage of the run's `rank`."""
        return self.stages[rank // self.stage_ranks]


def read_strategy(path: Path) -> Strategy:
    """Parse one strategy file; raises DamagedFileError and OSError."""
    return read_strategies([path])


def read_strategies(paths: Sequence[Path]) -> Strategy:
    """Parse the strategy files of one run: of one rank or all, of one stage or all, or the joined one.

    Raises DamagedFileError, InconsistentError where two speak differently of one stage, and OSError.
    """
    parts: list[Strategy] = []
    seen: set[bytes] = set()
    for path in paths:
        content, fingerprint = read_content(path)
        if content not in seen:
            seen.add(content)
            parts.append(parse_content(path, content, fingerprint))
    return join_strategies(parts)


def join_strategies(parts: Iterable[Strategy]) -> Strategy:
    """Join what each strategy file says for itself; raises InconsistentError where two differ about one stage."""
    files: dict[Path, Fingerprint] = {}
    stages: dict[int, Stage] = {}
    for part in parts:
        for number, stage in part.stages.items():
            known = stages.setdefault(number, stage)
            if known.layouts != stage.layouts:
                raise InconsistentError(
                    f"{stage.path} is not what {known.path} is, though ranks of one pipeline stage (here {number}) "
                    "write identical strategy files: are there files of two runs in the directory? Name the right one",
                    Code.SHARDS_MIXED,
                )
            if known.path in part.files:
                files.update(part.files)
    return Strategy(files, dict(sorted(stages.items())))


def parse_content(path: Path, content: bytes, fingerprint: Fingerprint) -> Strategy:
    """Parse what one file says for itself, of one stage or of all; raises DamagedFileError."""
    parse = parse_json if content.lstrip()[:1] == b"{" else parse_proto
    stages = _by_stage(path, *parse(path, content))
    return Strategy({path: fingerprint}, {number: Stage(path, layouts) for number, layouts in stages.items()})


def read_content(path: Path) -> tuple[bytes, Fingerprint]:
    """Read a strategy file for `parse_content`.

    Raises DamagedFileError for one that is too large or no file, InconsistentError where it changes meanwhile, and
    OSError.
    """
    with opened(path) as (descriptor, fingerprint):
        if fingerprint.size > MAX_SIZE:
            raise DamagedFileError(f"{path} is over {MAX_SIZE >> 20} MiB; no strategy file is", Code.DAMAGED_STRATEGY)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(), fingerprint


def _by_stage(path: Path, operators: set[int], layouts: Mapping[str, Layout]) -> dict[int, dict[str, Layout]]:
    """Sort a file's layouts by stage; `operators` are the stages of its operators."""
    if not layouts:
        raise DamagedFileError(f"{path} names no parameter; is it a strategy file?", Code.DAMAGED_STRATEGY)
    matches = {name: _JOINED.fullmatch(name) for name in layouts}
    stages: dict[int, dict[str, Layout]] = {}
    for name, match in matches.items():
        if match is not None:
            stages.setdefault(_bounded(path, int(match[1][:9])), {})[match[2]] = layouts[name]
    if not stages:
        stages[_bounded(path, min(operators, default=0))] = dict(layouts)
    plain = next((name for name, match in matches.items() if match is None), "")
    if plain and len(matches) > sum(match is None for match in matches.values()):
        raise DamagedFileError(
            f"{path}: {plain}: its name has no stage, though other names in the file have one", Code.DAMAGED_STRATEGY
        )
    without = operators - set(stages)
    if without:
        raise DamagedFileError(
            f"{path} has operators of pipeline stages {sorted(operators)[:5]}, "
            f"but no parameter of stage {min(without)}",
            Code.DAMAGED_STRATEGY,
        )
    return stages


def _bounded(path: Path, stage: int) -> int:
    if stage > MAX_STAGE:
        raise DamagedFileError(
            f"{path}: no run has a pipeline stage {stage}; is it a strategy file?", Code.DAMAGED_STRATEGY
        )
    return stage
