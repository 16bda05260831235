"""What it costs to know that a tag is complete: shards arrive one by one, and after each the tracker is asked.

    python benchmarks/readiness.py [--ranks 1024 --tags 3 --layers 1] [--json FILE]

Shards are real, with GLM's entries and tiny tensors (--layers 28 for the entries of GLM-6B), and so are the strategy
files, one a rank, which come first. Ranks come in random order. Writing the files is not timed; an event is what the
daemon's worker does at a hint, `noticed` and `ready`. Also shown are how often each shard was opened and walked, what a
look at the whole tree costs in the end, and what it costs a resume to find the newest complete save where only the
oldest one is.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import make_shards

from handlers.ckpt import CkptFile, Fingerprint, walk
from handlers.resume.point import Expected, newest_complete
from handlers.shards import contents, saves, tree_tracker
from handlers.shards.contents import Content, Contents
from handlers.shards.readiness import Ready
from handlers.shards.tree_tracker import TreeTracker

LIMIT = 5e-3
"""Seconds that an event may take."""
MP = 8

opened: Counter[Path] = Counter()
walked: Counter[Path] = Counter()


class CountedContents(Contents):
    """Counts how often each shard is opened."""

    def of(self, path: Path) -> tuple[Fingerprint, Content]:
        """Count one."""
        opened[path] += 1
        return super().of(path)


def counted_walk(path: Path) -> CkptFile:
    """Count how often each shard is walked."""
    walked[path] += 1
    return walk(path)


@dataclass(frozen=True)
class Event:
    """One arrival: seconds by the clock and of the processor, and whether the tracker then said that it is complete."""

    seconds: float
    processor: float
    ready: bool


def arrive(tracker: TreeTracker, path: Path) -> Event:
    """Tell the tracker of a path, and ask it."""
    clock, processor = time.perf_counter(), time.thread_time()
    tracker.noticed(path)
    ready = tracker.ready()
    return Event(time.perf_counter() - clock, time.thread_time() - processor, ready is not None)


class Arrivals:
    """A run's files, written one by one."""

    def __init__(self, source: Path, ranks: int, layers: int) -> None:
        weights = list(make_shards.network(8, layers, 64))
        moments = [make_shards.Parameter(f"adam_{m}.{w.name}", w.dims, "Float32", w.cut) for m in "mv" for w in weights]
        self._source = source
        self._parameters = weights + moments
        self._strategy = make_shards.strategy(self._parameters, MP, ranks // MP)
        self.entries = len(self._parameters) + len(make_shards.SCALARS)
        self.strategy_bytes = len(self._strategy)

    def strategy(self, rank: int) -> Path:
        """Write a rank's strategy file."""
        path = self._source / "strategy" / f"ckpt_strategy_rank_{rank}.ckpt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self._strategy)
        return path

    def shard(self, rank: int, tag: str) -> Path:
        """Write a rank's shard."""
        path = self._source / "checkpoint" / f"rank_{rank}" / f"glm-6b_rank_{rank}-{tag}.ckpt"
        make_shards.write_shard(path, self._parameters, MP, rank % MP, sparse=False)
        return path


@dataclass(frozen=True)
class Row:
    """Some of the events, in seconds."""

    what: str
    events: int
    total: float
    median: float
    p99: float
    longest: float
    longest_processor: float
    over_limit: int


def row(what: str, events: Sequence[Event]) -> Row:
    """Sum up events."""
    seconds = sorted(event.seconds for event in events)
    return Row(
        what,
        len(events),
        sum(seconds),
        statistics.median(seconds),
        seconds[(len(seconds) * 99 - 1) // 100],
        seconds[-1],
        max(event.processor for event in events),
        sum(each > LIMIT for each in seconds),
    )


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    print(
        f"{'':24}{'events':>8}{'total s':>10}{'median ms':>11}{'p99 ms':>9}{'max ms':>9}{'max CPU ms':>12}{'>5 ms':>7}"
    )
    for each in rows:
        print(
            f"{each.what:24}{each.events:8}{each.total:10.3f}{each.median * 1e3:11.3f}{each.p99 * 1e3:9.3f}"
            f"{each.longest * 1e3:9.3f}{each.longest_processor * 1e3:12.3f}{each.over_limit:7}"
        )


def newest_of_all(source: Path, ranks: int, tags: int) -> tuple[float, float]:
    """Damage all saves but the oldest, and look for the newest complete one; return seconds, and opens a shard."""
    for epoch in range(2, tags + 1):
        os.truncate(source / "checkpoint" / "rank_0" / f"glm-6b_rank_0-{epoch}_4.ckpt", 100)
    saves.Contents = CountedContents  # type: ignore[misc]
    opened.clear()
    clock = time.perf_counter()
    point = newest_complete(source, Expected("glm-6b", ranks, needs_strategy=True))
    seconds = time.perf_counter() - clock
    if point is None or point.tag.epoch != 1:
        sys.exit("the oldest save was not found")
    return seconds, sum(opened.values()) / (ranks * tags)


def thirds(events: Sequence[Event]) -> list[Sequence[Event]]:
    """Part events into the first, the middle and the last third."""
    step = -(-len(events) // 3)
    return [events[at : at + step] for at in range(0, len(events), step)]


def main() -> None:
    """Let all arrive, and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=1024, help=f"a multiple of {MP}")
    parser.add_argument("--tags", type=int, default=3)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    tree_tracker.Contents, contents.walk = CountedContents, counted_walk  # type: ignore[misc]
    shuffled = random.Random(7)  # noqa: S311 - an order
    by_tag: dict[str, list[Event]] = {}
    with tempfile.TemporaryDirectory(prefix="glmd-benchmark-") as name:
        files = Arrivals(Path(name), given.ranks, given.layers)
        tracker = TreeTracker(Path(name))
        ranks = list(range(given.ranks))
        strategies = [arrive(tracker, files.strategy(rank)) for rank in ranks]
        for tag in (f"{epoch}_4" for epoch in range(1, given.tags + 1)):
            shuffled.shuffle(ranks)
            by_tag[tag] = [arrive(tracker, files.shard(rank, tag)) for rank in ranks]
            if [event.ready for event in by_tag[tag]] != [False] * (given.ranks - 1) + [True]:
                sys.exit(f"tag {tag} was not ready at its last shard, or before")
        clock = time.perf_counter()
        looked = tracker.look()
        look = time.perf_counter() - clock
        resume, resume_opens = newest_of_all(Path(name), given.ranks, given.tags)
    if not isinstance(looked, Ready):
        sys.exit(looked.reason)
    shards = [event for events in by_tag.values() for event in events]
    first, _, last = (sum(event.seconds for event in each) for each in thirds(shards))
    rows = [row("strategy files", strategies)]
    for tag, events in by_tag.items():
        rows += [row(f"tag {tag}, third {number}", each) for number, each in enumerate(thirds(events), 1)]
    rows += [row("last shard of a tag", [events[-1] for events in by_tag.values()]), row("all shards", shards)]
    print(
        f"{given.ranks} ranks × {given.tags} tags, {files.entries} entries a shard; strategy files of "
        f"{files.strategy_bytes / 1e3:.1f} kB"
    )
    show(rows)
    print(f"last third of all shards over the first: {last / first:.2f} × the time (1 is linear)")
    print(f"opened: {max(opened.values())} × a shard at most; walked: {sum(walked.values())} of {len(opened)} shards")
    print(f"a look at the whole tree: {look * 1e3:.1f} ms")
    found = f"{resume * 1e3:.1f} ms, {resume_opens:.2f} opens a shard"
    print(f"the oldest of {given.tags} saves, found for a resume: {found}")
    if given.json is not None:
        figures = {
            "ranks": given.ranks,
            "tags": given.tags,
            "entries": files.entries,
            "strategy_bytes": files.strategy_bytes,
            "rows": [asdict(each) for each in rows],
            "last_third_over_first": last / first,
            "opens_a_shard": max(opened.values()),
            "walks": sum(walked.values()),
            "look_seconds": look,
            "resume_seconds": resume,
            "resume_opens_a_shard": resume_opens,
        }
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
