"""Promises of handlers.shards.tree_tracker: complete or not, as a look at everything says, whatever came first."""

import contextlib
import itertools
import os
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ckpt import CkptError, Fingerprint, walk
from handlers.ckpt.planning.agreement import check_entries, check_names
from handlers.shards import closing, tree_tracker
from handlers.shards.choice import choose
from handlers.shards.closing import QUIET
from handlers.shards.contents import Content, Contents
from handlers.shards.names import Tag
from handlers.shards.readiness import NotReady, Ready, judge
from handlers.shards.tree_tracker import TreeTracker
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, ckpt, small_run, strategy


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def reason(run: Run, *, needs_strategy: bool = True, ranks: int | None = None) -> str:
    """Say why a run is not ready."""
    found = TreeTracker(run.source, needs_strategy=needs_strategy, ranks=ranks).look()
    assert isinstance(found, NotReady)
    return found.reason


def is_ready(run: Run) -> bool:
    """Tell whether a tracker that sees the run for the first time finds it ready."""
    return isinstance(TreeTracker(run.source).look(), Ready)


def test_a_complete_tree_is_ready(run: Run) -> None:
    """All shards whole, of one set of entries, with their strategy."""
    found = TreeTracker(run.source).look()
    assert isinstance(found, Ready)
    assert (found.prefix, found.tag, found.shards) == ("glm-6b", Tag(31, 4), choose(run.source).shards)
    assert [each.size for each in found.fingerprints] == [run.shard(rank).stat().st_size for rank in range(4)]
    assert 0 <= found.age < 60


def test_a_shard_that_grows_is_not_ready(run: Run) -> None:
    """Cut inside a record or between two, a shard does not count."""
    whole = run.shard(2).read_bytes()
    run.write_shard(2, whole[:-1])
    assert "rank_2-31_4.ckpt" in reason(run)
    end = walk(run.write_shard(2, whole)).entries["scale_sense"].extents[0]
    run.write_shard(2, whole[: end.offset + end.length])
    assert "rank_2-31_4.ckpt has other entries than" in reason(run)


def test_shards_that_lack_the_same_entries_are_not_ready(run: Run) -> None:
    """All ranks cut at the same place: the strategy tells."""
    for rank in range(4):
        slices = run.slices(rank)
        del slices["layers.0.layernorm.gamma"]
        run.write_shard(rank, ckpt(slices))
    assert "layers.0.layernorm.gamma: it is in the strategy" in reason(run)


def test_a_shard_still_open_is_not_ready(run: Run) -> None:
    """Whole and agreed upon, but somebody has it open for writing: when it is closed, it counts at once."""
    tracker = TreeTracker(run.source)
    run.shard(3).chmod(0o640)
    with run.shard(3).open("ab"):
        assert "rank_3-31_4.ckpt is open for writing" in getattr(tracker.look(), "reason", "")
        tracker.noticed(run.shard(3))
        assert tracker.ready() is None
    tracker.closed(run.shard(3))
    assert tracker.ready() is not None
    with run.shard(3).open("ab"):
        tracker.noticed(run.shard(3))
        assert tracker.ready() is None, "it is open again"


def test_shards_that_were_left_writable_are_ready_when_first_seen(run: Run) -> None:
    """As after a start of glmd, when nobody saw them being closed."""
    for rank in range(4):
        run.shard(rank).chmod(0o640)
        os.utime(run.shard(rank))
    assert is_ready(run)


@pytest.fixture
def on_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trees be on a network file system, where other hosts write unseen."""
    monkeypatch.setattr(closing, "network_file_system", lambda _: "nfs4")


@pytest.mark.usefixtures("on_a_network")
def test_on_a_network_a_shard_must_have_rested(run: Run) -> None:
    """Whatever this host saw: another one may have it open."""
    run.shard(3).chmod(0o600)
    os.utime(run.shard(3))
    assert "may still be open" in reason(run)
    tracker = TreeTracker(run.source)
    tracker.closed(run.shard(3))
    assert tracker.ready() is None
    os.utime(run.shard(3), (1.0, 1.0))
    assert is_ready(run)


def test_without_its_strategy_file_a_run_is_not_ready(run: Run) -> None:
    """Unless it is data parallel, which writes none."""
    run.strategy.unlink()
    assert "has no ckpt_strategy_rank_N" in reason(run)
    assert isinstance(TreeTracker(run.source, needs_strategy=False, ranks=4).look(), Ready)


def test_data_parallel_ranks_are_counted(run: Run) -> None:
    """Of a known number of ranks, all must be there."""
    assert "ranks 4, 5 have no shard with prefix glm-6b (of 6 ranks)" in reason(run, needs_strategy=False, ranks=6)


def test_stages_are_complete_together(tmp_path: Path) -> None:
    """Each stage's ranks agree with each other, and with their stage's strategy file."""
    run = staged_run(tmp_path / "output").write()
    assert is_ready(run)
    content = run.shard(1).read_bytes()
    run.write_shard(1, run.shard(2).read_bytes())
    assert "rank_1-31_4.ckpt has other entries than" in reason(run)
    run.write_shard(1, content)
    run.strategies[0].unlink()
    assert "no file of stage 0 is given" in reason(run)


def test_the_networks_shards_are_followed_by_their_tag(run: Run) -> None:
    """In checkpoint_network/, which may come to be while the tree is followed."""
    tracker = TreeTracker(run.source, tag="network")
    assert isinstance(tracker.look(), NotReady)
    for rank in range(4):
        path = run.source / "checkpoint_network" / f"rank_{rank}" / f"glm-6b_rank_{rank}-network.ckpt"
        path.parent.mkdir(parents=True)
        run.shard(rank).rename(path)
        tracker.noticed(path)
        assert (tracker.ready() is not None) == (rank == 3)


def test_a_part_with_times_is_followed_by_its_bare_name(run: Run) -> None:
    """Ready with the newest that all ranks have; one of before does not count while a newer one is on its way."""
    tracker = TreeTracker(run.source, tag="network")
    tracker.look()
    for tag, states in (("9_4", [False, False, False, True]), ("31_4", [False, False, False, True])):
        for rank in range(4):
            path = run.source / "checkpoint_network" / f"rank_{rank}" / f"glm-6b_rank_{rank}-network-{tag}.ckpt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(run.shard(rank).read_bytes())
            path.chmod(0o400)
            tracker.noticed(path)
            ready = tracker.ready()
            assert (ready is not None) == states[rank]
        assert ready is not None
        assert str(ready.tag) == f"network-{tag}"


def test_a_misplaced_shard_stands_in_the_way(run: Run) -> None:
    """Until it is moved: noticed, or found gone."""
    tracker = TreeTracker(run.source)
    for take_in in (tracker.noticed, lambda _: tracker.look()):
        misplaced = run.shard(0).with_name(run.shard(1).name)
        misplaced.write_bytes(b"")
        tracker.noticed(misplaced)
        assert tracker.ready() is None
        assert "lies in rank 0's directory" in reason(run)
        misplaced.unlink()
        take_in(misplaced)
        assert tracker.ready() is not None


def test_another_strategy_is_another_answer(run: Run) -> None:
    """Though no shard has changed."""
    tracker = TreeTracker(run.source)
    assert isinstance(tracker.look(), Ready)
    content = run.strategy.read_bytes()
    run.strategy.write_bytes(strategy(run.layouts | {"one.more": Lay((4,), (0,))}))
    tracker.noticed(run.strategy)
    assert tracker.ready() is None
    run.strategy.write_bytes(content)
    tracker.noticed(run.strategy)
    assert tracker.ready() is not None


def test_the_ranks_directories_may_be_the_sources_own(run: Run) -> None:
    """Until there is a `checkpoint/`: what lies beside that counts no more."""
    tracker = TreeTracker(run.source, needs_strategy=False, ranks=4)
    for path in (run.source / "checkpoint").iterdir():
        path.rename(run.source / path.name)
    (run.source / "checkpoint").rmdir()
    assert isinstance(tracker.look(), Ready)
    (run.source / "checkpoint" / "rank_0").mkdir(parents=True)
    tracker.noticed(run.source / "checkpoint" / "rank_0")
    assert tracker.ready() is None


def test_a_tree_that_is_not_there_yet_is_not_ready(tmp_path: Path) -> None:
    """A training that starts later makes it."""
    tracker = TreeTracker(tmp_path / "output")
    with pytest.raises(FileNotFoundError):
        tracker.look()
    run = small_run(tmp_path / "output").write()
    tracker.noticed(run.shard(3))
    assert tracker.ready() is not None, "what came before is found too"


def test_a_shard_that_may_not_be_read_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner can change without a trace in its size, time and inode."""
    tracker = TreeTracker(run.source)
    with monkeypatch.context() as patch:
        patch.setattr(Contents, "of", lambda _, path: (_ for _ in ()).throw(PermissionError(13, "denied", str(path))))
        assert "denied" in getattr(tracker.look(), "reason", "")
    for rank in range(4):
        tracker.noticed(run.shard(rank))
    assert tracker.ready() is not None


def test_a_directory_that_is_noticed_is_listed(run: Run) -> None:
    """A rank's, or the tree itself: then hints were lost."""
    tracker = TreeTracker(run.source)
    tracker.look()
    run.write("32_4")
    for rank in range(4):
        tracker.noticed(run.shard(rank).parent)
    ready = tracker.ready()
    assert ready is not None
    assert ready.tag == Tag(32, 4)
    for rank in range(4):
        run.shard(rank, "32_4").unlink()
    tracker.noticed(run.source)
    assert getattr(tracker.ready(), "tag", None) == Tag(31, 4)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """Count how often each shard is read."""
    counts: Counter[Path] = Counter()

    class Counted(Contents):
        def of(self, path: Path) -> tuple[Fingerprint, Content]:
            counts[path] += 1
            return super().of(path)

    monkeypatch.setattr(tree_tracker, "Contents", Counted)
    return counts


def test_no_shard_is_read_twice(run: Run, read: Counter[Path]) -> None:
    """However often it is noticed or listed, while it stays as it is; a damaged one neither."""
    run.write_shard(2, run.shard(2).read_bytes()[:-1])
    tracker = TreeTracker(run.source)
    for rank in (*range(4), *range(4)):
        tracker.noticed(run.shard(rank))
        tracker.ready()
    tracker.look()
    shards = [run.shard(rank) for rank in range(4)]
    assert read == dict.fromkeys(shards, 1)
    tracker.noticed(run.write_shard(2, ckpt(run.slices(2))))
    assert tracker.ready() is not None
    assert read == dict.fromkeys(shards, 1) | {shards[2]: 2}


@pytest.mark.usefixtures("on_a_network")
def test_a_shard_that_is_written_is_read_when_it_is_at_rest(
    run: Run, read: Counter[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each of the hints that writing it gives; no further hint is needed, only the question."""
    run.shard(3).chmod(0o600)
    os.utime(run.shard(3))
    tracker = TreeTracker(run.source)
    for _ in range(5):
        tracker.noticed(run.shard(3))
        assert tracker.ready() is None
    assert run.shard(3) not in read
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + QUIET)
    assert tracker.ready() is not None


def test_it_is_judged_again_only_when_something_has_changed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking costs nothing while the shards of the tag stay as they are."""
    judged = []
    monkeypatch.setattr(tree_tracker, "judge", lambda *given: judged.append(given) or judge(*given))
    run.write("32_4")
    tracker = TreeTracker(run.source, tag="32_4")
    tracker.look()
    for rank in range(4):
        run.shard(rank).unlink()
        tracker.noticed(run.shard(rank))
        assert tracker.ready() is not None
    assert len(judged) == 1


def staged_run(source: Path) -> Run:
    """Return a run of two pipeline stages with two ranks each."""
    run = small_run(source, (2,))
    run.ranks, run.stages = 4, 2
    run.stages_of = {"word_embeddings.embedding_table": (0,), "layers.0.dense_4h_to_h.weight": (1,)}
    return run


def oracle(
    source: Path, *, tag: str, needs_strategy: bool, ranks: int | None, written: Collection[Path]
) -> tuple[Path, ...] | None:
    """Return the shards that a merge would take, if it would take them now; those in `written` are open."""
    try:
        chosen = choose(source, tag=tag, needs_strategy=needs_strategy, ranks=ranks)
        if any(shard.path in written for shard in chosen.shards):
            return None
        files = {shard.rank: walk(shard.path) for shard in chosen.shards}
        size = len(files) if chosen.strategy is None else chosen.strategy.stage_ranks
        for first in range(0, len(files), size):
            check_entries([files[rank] for rank in range(first, first + size)])
        if chosen.strategy is not None:
            for rank, file in files.items():
                check_names(chosen.strategy, file, rank)
    except (CkptError, OSError):
        return None
    return tuple(shard.path for shard in chosen.shards)


class Tree:
    """Makes things happen in a tree of four ranks, which one tracker follows by hints and another only looks at."""

    def __init__(self, source: Path, run: Run, *, tag: str, needs_strategy: bool, ranks: int | None) -> None:
        self.run = run
        self.asked = {"tag": tag, "needs_strategy": needs_strategy, "ranks": ranks}
        source.mkdir()
        self.tracker = TreeTracker(source, **self.asked)
        self.looking = TreeTracker(source, **self.asked)
        self.clock = itertools.count(1)
        self.written: dict[Path, BinaryIO] = {}
        """The files that somebody has open for writing."""

    def path(self, rank: int, kind: str) -> Path:
        """Name a shard, `kind` being what follows rank_N."""
        return self.run.source / "checkpoint" / f"rank_{rank}" / f"glm-6b_rank_{rank}{kind}"

    def happens(self, path: Path, content: bytes | None, state: str = "closed") -> None:
        """Write or remove a file; times differ as they do where writing takes a while."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if path in self.written:
            self.written.pop(path).close()
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o400 if state == "closed" else 0o600)
            if state == "open":
                self.written[path] = path.open("ab")
            when = 10**18 if state == "rested" else time.time_ns() // 10**9 * 10**9
            os.utime(path, ns=(when, when + next(self.clock)))

    def close(self) -> None:
        """Let all writers end."""
        for stream in self.written.values():
            stream.close()

    def check(self, path: Path) -> bool:
        """Compare what both trackers say with what is there; return whether that is complete."""
        self.tracker.noticed(path)
        expected = oracle(self.run.source, **self.asked, written=self.written)
        ready = self.tracker.ready()
        assert (ready and tuple(shard.path for shard in ready.shards)) == expected
        looked = self.looking.look()
        assert (looked if isinstance(looked, Ready) else None) == ready
        return expected is not None


CONTENTS = ("whole", "whole", "whole", "other", "cut", "damaged")
KINDS = ("-31_4.ckpt", "-31_4.ckpt", "-31_4.ckpt", "-9_4.ckpt", "_1-9_4.ckpt", "_1-31_4.ckpt", "-31_4.safetensors")


def content_of(run: Run, rank: int, which: str) -> bytes | None:
    """Make a shard's content of one sort or another."""
    slices = run.slices(rank % run.ranks)
    if which == "other":
        slices["another"] = slices["epoch_num"]
    if which == "cut":
        del slices["epoch_num"]
    return ckpt(slices)[: -1 if which == "damaged" else None]


@st.composite
def happenings(draw: st.DrawFn) -> tuple[str, ...]:
    """Draw something that can happen in a tree."""
    what = draw(
        st.sampled_from(("shard", "shard", "shard", "all", "gone", "prefix", "misplaced", "strategy", "no strategy"))
    )
    rank = str(draw(st.sampled_from((0, 1, 2, 3, 3, 4))))
    kind, which = draw(st.sampled_from(KINDS)), draw(st.sampled_from(CONTENTS))
    return what, rank, kind, which, draw(st.sampled_from(("closed", "writable", "rested", "open")))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(happenings(), max_size=14),
    st.sampled_from(("last", "last", "31_4")),
    st.sampled_from(("strategy", "stages", "none", "counted")),
)
def test_whatever_happens_the_answer_is_that_of_a_look_at_everything(
    what_happens: Sequence[tuple[str, ...]], tag: str, sort: str
) -> None:
    """Shards of both formats and two runs, whole or not, closed or not; strategies that come late, change or go."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as hold:
        source = Path(directory) / "output"
        run = staged_run(source) if sort == "stages" else small_run(source)
        laid = sort in {"strategy", "stages"}
        tree = Tree(source, run, tag=tag, needs_strategy=laid, ranks=4 if sort == "counted" else None)
        hold.callback(tree.close)
        for what, rank, kind, which, state in what_happens:
            number, changed = int(rank), []
            match what:
                case "shard" | "gone":
                    content = content_of(run, number, which) if what == "shard" else None
                    changed = [(tree.path(number, kind), content, state)]
                case "prefix" | "misplaced":
                    name = "other_rank_0-31_4.ckpt" if what == "prefix" else f"glm-6b_rank_1{kind}"
                    path = source / "checkpoint" / "rank_0" / name
                    changed = [(path, None if path.exists() else b"", state)]
                case "all":
                    changed = [(tree.path(each, kind), content_of(run, each, which), state) for each in range(4)]
                case _:
                    layouts = {name: Lay((2,), (-1,)) for name in ("a", "b")} if which == "other" else None
                    for stage, path in enumerate(run.strategies):
                        said = strategy(layouts or run.layouts_of(stage), stages=(stage,))
                        changed.append((path, said if what == "strategy" else None, "closed"))
            for path, content, how in changed:
                tree.happens(path, content, how)
                tree.check(path)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(14)), st.booleans())
def test_a_complete_run_is_ready_whatever_comes_last(order: Sequence[int], staged: bool) -> None:  # noqa: FBT001 - drawn
    """Two tags and their strategy files, in any order."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "output"
        run = staged_run(source) if staged else small_run(source)
        tree = Tree(source, run, tag="last", needs_strategy=True, ranks=None)
        files = [(tree.path(rank, f"-{tag}.ckpt"), content_of(run, rank, "whole")) for rank in range(4) for tag in TAGS]
        files += [(path, strategy(run.layouts_of(s), stages=(s,))) for s, path in enumerate(run.strategies)]
        found = []
        for index in order:
            if index < len(files):
                tree.happens(*files[index])
                found.append(tree.check(files[index][0]))
        assert found[-1]


TAGS = ("9_4", "31_4", "32_1")
