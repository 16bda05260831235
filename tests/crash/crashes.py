"""Playing scenarios to their end: uninterrupted, with a kill before each step, and after a power cut at each step.

A step that several scenarios share is crashed in the first of them; see `Crashed`.
"""

import itertools
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.power_cut import Image, images
from tests.crash.recording import Recording
from tests.crash.scenarios import Scenario, disagreements, outcome
from tests.crash.stage import Stage
from tests.crash.steps import Point, Taken

Playing = Generator[None, None, None]
SIDE_BY_SIDE = 6
"""How many stages are played at a time; most of their time they wait for the disk and for each other."""


@dataclass(frozen=True)
class Ending:
    """How a scenario ended after a crash; well, if it has no faults."""

    scenario: str
    crash: str
    faults: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a paragraph."""
        return f"{self.scenario}, {self.crash}:\n    " + "\n    ".join(self.faults)


class Crashed:
    """Which steps have been crashed."""

    def __init__(self) -> None:
        self.kinds: set[Point] = set()
        self.calls: set[Point] = set()
        self._points: set[Point] = set()
        self._of_any_job: set[Taken] = set()

    def take(self, steps: Iterable[Taken]) -> list[Taken]:
        """Return the steps of a scenario that are new, and note them.

        A step is not new when an earlier scenario had it by its whole name; nor when one had it of another job or as
        another attempt, and the same lines of glmd led to it. Within a scenario each job and attempt counts.
        """
        first: dict[Point, Taken] = {}
        for one in steps:
            first.setdefault(one.point, one)
        new = [
            one for one in first.values() if one.point not in self._points and one.of_any_job not in self._of_any_job
        ]
        self.kinds.update(one.kind for one in new)
        self.calls.update(one.call for one in new)
        self._points.update(one.point for one in new)
        self._of_any_job.update(one.of_any_job for one in new)
        return new


@dataclass
class Survey:
    """What crashing the scenarios has shown."""

    kills: list[Ending] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Kills that did not happen: the step did not come."""
    power_cuts: list[Ending] = field(default_factory=list)
    lines: set[str] = field(default_factory=set)
    """The places in the sources from which durable steps were taken."""
    steps: set[Point] = field(default_factory=set)
    """All that were taken."""
    killed_at: Crashed = field(default_factory=Crashed)
    cut_at: Crashed = field(default_factory=Crashed)
    seconds: float = 0.0


def survey(scenarios: Iterable[Scenario]) -> Survey:
    """Crash every scenario everywhere."""
    started, found = time.monotonic(), Survey()
    with tempfile.TemporaryDirectory(prefix="glmd-crash-") as directory:
        crashes = [_Crashes(one, Path(directory, str(number)), found) for number, one in enumerate(scenarios)]
        _side_by_side(deque(each.begin() for each in crashes))
        waiting: deque[Playing] = deque()
        for each in crashes:
            each.line_up(waiting)
        _side_by_side(waiting)
    found.seconds = time.monotonic() - started
    return found


def _side_by_side(waiting: deque[Playing]) -> None:
    """Play all that waits; more may be added meanwhile."""
    under_way: list[Playing] = []
    try:
        while waiting or under_way:
            while waiting and len(under_way) < SIDE_BY_SIDE:
                under_way.append(waiting.popleft())
            under_way = [one for one in under_way if next(one, one) is None]
            time.sleep(0.01)
    finally:
        for one in under_way:
            one.close()  # which ends its processes


class _Crashes:
    """All crashes of one scenario."""

    def __init__(self, scenario: Scenario, place: Path, found: Survey) -> None:
        self._scenario, self._place, self._found = scenario, place, found
        self._recording = Recording(place / "whole" / "root", place / "recording")
        self._whole = Stage(place / "whole", recording=self._recording.of_process)
        self._waiting: deque[Playing] = deque()
        self._numbers = itertools.count()
        self._outcome: dict[str, object] = {}
        place.mkdir()

    def begin(self) -> Playing:
        """Play it without a crash, and record it."""
        self._scenario.set_up(self._whole)
        self._recording.begin()
        shutil.copytree(self._whole.data, self._place / "data")
        faults = yield from self._play(self._whole)
        if faults:
            raise AssertionError(str(Ending(self._scenario.name, "without a crash", tuple(faults))))
        self._outcome = outcome(self._whole)

    def line_up(self, waiting: deque[Playing]) -> None:
        """Add the power cuts and the kills to what waits to be played."""
        self._waiting = waiting
        if self._scenario.loses_pages:
            left = list(images(self._recording))
            moments = set(self._found.cut_at.take(image.moment for image in left))
            waiting.appendleft(self._cut_off(image for image in left if image.moment in moments))
        waiting.extend(self._kill((step.point,)) for step in self._found.killed_at.take(self._steps(self._whole)))

    def _line_up_second_kills(self, stage: Stage, first: Point) -> None:
        """After a first kill, let processes be killed at the steps that only it led to."""
        left = [step for step in self._steps(stage) if step.kind not in self._found.killed_at.kinds]
        self._waiting.extend(self._kill((first, step.point)) for step in self._found.killed_at.take(left))

    def _steps(self, stage: Stage) -> list[Taken]:
        steps = [one for one in stage.steps() if self._scenario.roles is None or one.role in self._scenario.roles]
        if not self._scenario.each_once:
            return steps
        calls: dict[Point, Taken] = {}
        for one in steps:
            if one.changes_a_name and one.call not in self._found.killed_at.calls:
                calls.setdefault(one.call, one)
        return list(calls.values())

    def _kill(self, points: tuple[Point, ...], tries: int = 3) -> Playing:
        stage = Stage(self._place / f"kill-{next(self._numbers)}", points)
        self._scenario.set_up(stage)
        crash = ", then ".join(f"{role} killed before {name}" for role, name in points)
        faults = yield from self._play(stage)
        if len(stage.killed) < len(points) and tries > 1 and not faults:
            self._waiting.append(self._kill(points, tries - 1))
        elif len(stage.killed) < len(points) and not faults:
            self._found.missed.append(f"{self._scenario.name}: {crash}")
        else:
            self._found.kills.append(Ending(self._scenario.name, crash, tuple(faults)))
        self._line_up_second_kills(stage, points[0])
        shutil.rmtree(stage.path)

    def _cut_off(self, left: Iterable[Image]) -> Playing:
        """Go on from each image, at the very path that its plans speak of."""
        whole = self._whole
        for image in left:
            image.restore(whole.root)
            _restore(whole.data, self._place / "data")
            whole.log.unlink(missing_ok=True)
            stage = Stage(
                whole.path, settings=whole.settings, no_shim=whole.no_shim, has_daemon=whole.has_daemon,
                clock=whole.clock,
            )  # fmt: skip
            faults = yield from self._play(stage)
            self._found.power_cuts.append(Ending(self._scenario.name, f"power cut after {image.moment}", tuple(faults)))

    def _play(self, stage: Stage) -> Generator[None, None, list[str]]:
        """Play to the end; return what is wrong then."""
        try:
            yield from self._scenario.play(stage)
            faults = [*stage.faults, *disagreements(stage)]
            if self._outcome and (end := outcome(stage)) != self._outcome:
                faults.append(f"it came to {end}, and without a crash to {self._outcome}")
        except AssertionError as error:
            faults = [*stage.faults, str(error)]
        finally:
            stage.close()
        steps = stage.steps()
        self._found.steps.update(one.point for one in steps)
        self._found.lines.update(line for one in steps for line in one.lines)
        return faults


def _restore(data: Path, before: Path) -> None:
    """Let the flags among the data be as before the scenario; its files stay the very same."""
    names = {path.name for path in before.iterdir()}
    for path in data.iterdir():
        if path.name not in names:
            path.unlink()
    for name in names:
        if not (data / name).exists():
            shutil.copy2(before / name, data / name)
