"""Where benchmarks/chaos.py plays: the house, what was dropped there, and what was done to it."""

import random
import time
from collections.abc import Callable, Iterable
from signal import Signals

from benchmarks.acts import Act
from daemon.core.states import Job
from tests.acceptance.house import CONFIG, House


class Scene:
    """What all acts share."""

    def __init__(self, house: House, seed: int) -> None:
        self.house, self.root = house, house.root
        self.chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.done_to: dict[str, set[Act]] = {}
        """By the job's name, which no other one has."""
        self.names: list[str] = []
        """Of what was dropped, without `.yaml`."""
        self.hung: set[str] = set()
        """The names of those that wait for a mount now."""
        self.lost: set[str] = set()
        """The names of those of which nothing is left: their directories were removed, and then their rows."""
        self.slowest_start = 0.0
        self.faults: list[str] = []
        self._later: list[tuple[float, Callable[[], None]]] = []

    # What lies there

    def drop(self, kind: str, text: str | None = None) -> str:
        """Drop a file, with a comment of its own, by a rename; return the name of its job."""
        name, first = f"{kind}{len(self.names) + 1}", self.chance.randrange(7)
        text = text or CONFIG.format(data=self.house.data, devices=f"[{first},{first + 2})")
        half = self.root / "inbox" / f".{name}.yaml"
        half.write_bytes(f"# {name}\n{text}".encode("utf-8", "surrogatepass"))
        half.rename(half.with_name(f"{name}.yaml"))
        self.names.append(name)
        return name

    def unfinished(self) -> int:
        """Return how many files are on their way: in the inbox, in claims/, or as jobs that are not over."""
        # In this order: what goes on meanwhile is counted twice rather than not at all.
        files = [*self.root.glob("inbox/*.yaml"), *self.root.glob("claims/*/*")]
        waiting = [path for path in files if path.stem not in self.hung]
        return len(waiting) + sum(not job.state.is_over for job in self.house.jobs())

    def note(self, act: Act, names: Iterable[str]) -> None:
        """Remember to whom something was done."""
        for name in names:
            self.done_to.setdefault(name, set()).add(act)

    def jobs_not_over(self) -> list[Job]:
        """Return them."""
        return [job for job in self.house.jobs() if not job.state.is_over]

    def names_not_over(self) -> list[str]:
        """Return the names of what was dropped and is not over, whether it is a job yet or not."""
        over = {job.name for job in self.house.jobs() if job.state.is_over}
        return [name for name in self.names if name not in over]

    # The daemon

    def start(self) -> None:
        """Start the daemon, and take the time."""
        began = time.monotonic()
        self.house.start()
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)

    def restart(self, number: Signals) -> None:
        """End the daemon with a signal, and start it."""
        self.house.stop(number)
        self.start()

    # What is to be undone

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Let `undo` be called in so many seconds, between two acts."""
        self._later.append((time.monotonic() + seconds, undo))

    def undo(self, *, everything: bool = False) -> None:
        """Undo what is due."""
        now = time.monotonic()
        due = [each for each in self._later if everything or each[0] <= now]
        self._later = [each for each in self._later if each not in due]
        for _, undo in due:
            undo()
