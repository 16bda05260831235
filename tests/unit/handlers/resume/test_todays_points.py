"""Promises of handlers.resume.point for what MindFormers saves today: safetensors, and saves in its new format."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import Format
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.tags import Schedule
from handlers.mindformers.version import Version
from handlers.resume.config import Beginning
from handlers.resume.point import Expected, beginning, complete, lay_out, newest_complete, newest_useful
from handlers.resume.resumable import Course
from handlers.shards.names import TRACKER
from tests.unit.handlers.ckpt import redundancy
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, small_run
from tests.unit.handlers.ckpt.iterations import write, write_file

MODERN = Path(__file__).parents[3] / "fixtures" / "modern"
TWO_RANKS = Expected("glm4", 2, needs_strategy=False)
COURSE = Course(Schedule.of(None, (3, 4)), is_cut=False, dialect=dialect_of(Version(1, 9)))
"""Three passes of four steps each, and nothing went wrong."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two ranks that have saved iterations 4, 6 and 8."""
    run = Run(tmp_path / "output", 2, prefix="glm4")
    run.tensors = {"w": np.arange(8, dtype="float32").reshape(4, 2), "adam_m.w": np.zeros((4, 2), "float32")}
    run.layouts = {"w": Lay((2,), (0, -1)), "adam_m.w": Lay((2,), (0, -1))}
    for iteration in (4, 6, 8):
        write(run, iteration)
    return run


def saved(run: Run, iteration: int = 8) -> Path:
    """Return the directory of a save."""
    return run.source / "checkpoint" / f"iteration_{iteration:08}"


def tracker(run: Run) -> Path:
    """Return where the tracker is."""
    return run.source / "checkpoint" / TRACKER


def newest(run: Run) -> str:
    """Return the tag of the newest complete save; empty for none."""
    point = newest_complete(run.source, TWO_RANKS)
    return str(point.tag) if point else ""


def obstacle(run: Run, course: Course = COURSE) -> tuple[str, str]:
    """Return the tag that is gone on from, and why it is not the newest one."""
    found = newest_useful(run.source, TWO_RANKS, course)
    return str(found.point.tag) if found.point else "", found.obstacle.what if found.obstacle else ""


def test_the_newest_save_that_the_tracker_vouches_for(run: Run) -> None:
    """One that is being written, and one of another prefix or of other ranks, is none."""
    assert newest(run) == "iteration_00000008"
    tracker(run).write_text("6")
    assert newest(run) == "iteration_00000006"
    assert newest_complete(run.source, Expected("glm4", 3, needs_strategy=False)) is None
    assert newest_complete(run.source, Expected("other", 2, needs_strategy=False)) is None
    assert complete(run.source, "iteration_00000004", TWO_RANKS) is not None
    assert complete(run.source, "iteration_00000008", TWO_RANKS) is None


def test_a_tracker_ahead_of_what_is_there(run: Run) -> None:
    """The save that it names was removed, to be written again; those before it are whole."""
    shutil.rmtree(saved(run))
    assert newest(run) == "iteration_00000006"


@pytest.mark.parametrize("content", ("", "\0", "8x"))
def test_a_half_written_tracker_loses_no_older_save(run: Run, content: str) -> None:
    """All ranks had saved those before they began the newest, which nobody vouches for now."""
    tracker(run).write_text(content)
    assert newest(run) == "iteration_00000006"


def test_without_a_tracker_nothing_is_complete(run: Run) -> None:
    """Ranks write it with their first save, when all have."""
    tracker(run).unlink()
    assert newest(run) == ""


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1])


def _with_lying_header(path: Path) -> None:
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes((1 << 40).to_bytes(8, "little") + content[8:])


MODEL, OTHERS_OPT = "glm4-model-0000000-0000002.safetensors", "glm4-opt-0000001-0000002.safetensors"


@pytest.mark.parametrize(
    ("name", "harm"),
    (
        (MODEL, Path.unlink),
        (OTHERS_OPT, Path.unlink),
        (MODEL, _cut),
        (MODEL, _with_lying_header),
        ("metadata.json", _cut),
        ("metadata.json", Path.unlink),
        ("common.json", _cut),
        ("common.json", Path.unlink),
    ),
)
def test_a_save_of_which_something_is_cut_or_gone_is_passed_over(
    run: Run, name: str, harm: Callable[[Path], object]
) -> None:
    """The tracker says that it is complete, but a power cut or somebody's hand came after."""
    harm(saved(run) / name)
    assert newest(run) == "iteration_00000006"


@pytest.mark.parametrize("number", ("epoch_num", "step_num", "global_step", "global_batch_size"))
def test_a_save_that_does_not_say_where_to_go_on(run: Run, number: str) -> None:
    """MindFormers would end over it."""
    common = json.loads((saved(run) / "common.json").read_text())
    (saved(run) / "common.json").write_text(json.dumps(common | {number: None}))
    assert newest(run) == "iteration_00000006"


def test_an_unhealthy_save_is_not_gone_on_from(run: Run) -> None:
    """And it is said why."""
    common = json.loads((saved(run) / "common.json").read_text())
    (saved(run) / "common.json").write_text(json.dumps(common | {"ckpt_status": 1}))
    tag, why = obstacle(run)
    assert tag == "iteration_00000006"
    assert "says that this save is unhealthy" in why


def test_a_save_without_the_optimizer_is_not_gone_on_from(run: Run, tmp_path: Path) -> None:
    """MindFormers would begin with new moments at an old step. Where nothing is left to train, none are needed."""
    assert obstacle(run) == ("iteration_00000008", "")
    weights = Run(tmp_path / "weights", 2, prefix="glm4")
    weights.tensors, weights.layouts = {"w": run.tensors["w"]}, {"w": run.layouts["w"]}
    write(weights, 8)
    tag, why = obstacle(weights)
    assert (tag, "was saved without the optimizer's state" in why) == ("", True)
    shutil.rmtree(weights.source)
    write(weights, 12)
    assert obstacle(weights) == ("iteration_00000012", "")


def test_where_in_a_run_an_iteration_falls(run: Run) -> None:
    """By its number alone: what was saved when the loss was lost is none, and a sink is no place to go on from."""
    assert obstacle(run, Course(COURSE.schedule, is_cut=False, dialect=COURSE.dialect, wrong_from=7)) == (
        "iteration_00000006",
        "iteration_00000008 was saved when the training may have gone wrong already",
    )
    sinking = Course(Schedule.of(4, (3, 4)), is_cut=True, dialect=COURSE.dialect)
    tracker(run).write_text("6")
    tag, why = obstacle(run, sinking)
    assert (tag, "falls inside a sink of 4 steps" in why) == ("iteration_00000004", True)


def test_a_save_in_the_new_format_is_laid_out_as_it_was(run: Run, tmp_path: Path) -> None:
    """Alone, and with a tracker, so that it is found to be complete again; it outlives its tree."""
    point = newest_complete(run.source, TWO_RANKS)
    assert point is not None
    laid_out = tmp_path / "resume_from"
    lay_out(point, laid_out)
    shutil.rmtree(run.source)
    found = sorted(path.relative_to(laid_out).as_posix() for path in laid_out.rglob("*") if path.is_file())
    names = {f"glm4-{kind}-000000{n}-0000002.safetensors" for kind in ("model", "opt") for n in (0, 1)}
    inside = {f"checkpoint/iteration_00000008/{name}" for name in (*names, "metadata.json", "common.json")}
    assert found == sorted({*inside, f"checkpoint/{TRACKER}"})
    assert newest_complete(laid_out, TWO_RANKS) is not None
    directory = laid_out / "checkpoint" / "iteration_00000008"
    for is_directory in (True, False):
        told = beginning(point, laid_out, is_directory=is_directory)
        assert told == Beginning(directory, Format.SAFETENSORS, is_iteration=True)


def test_safetensors_are_named_without_their_bump(tmp_path: Path) -> None:
    """Rank 0's name is looked for in each rank's directory, and ranks may differ in the bump."""
    run = redundancy.write(small_run(tmp_path / "output", (2, 2)), lambda _name, _group: 0)
    for rank in (1, 2):
        path = redundancy.shard(run, rank)
        path.rename(path.with_name(path.name.replace(f"rank_{rank}-", f"rank_{rank}_3-")))
    expected = Expected("glm-6b", 4, needs_strategy=True)
    point = newest_complete(run.source, expected)
    assert point is not None
    laid_out = tmp_path / "resume_from"
    lay_out(point, laid_out)
    for rank in range(4):
        (shard,) = (laid_out / "checkpoint" / f"rank_{rank}").iterdir()
        assert shard.name == f"glm-6b_rank_{rank}-{point.tag}.safetensors"
    assert newest_complete(laid_out, expected) is not None
    told = beginning(point, laid_out, is_directory=False)
    name = f"glm-6b_rank_0-{point.tag}.safetensors"
    assert told == Beginning(laid_out / "checkpoint", Format.SAFETENSORS, resume=name, is_shared_out=True)


def test_what_mindformers_1_9_has_saved_is_gone_on_from(tmp_path: Path) -> None:
    """Its own files, in both forms."""
    shared = newest_complete(MODERN / "dp2-mp2-remove-redundancy", Expected("glm4", 4, needs_strategy=True))
    assert shared is not None
    told = beginning(shared, tmp_path, is_directory=True)
    assert (told.resume, told.is_shared_out) == ("glm4_rank_0-2_4.safetensors", True)
    new = newest_complete(MODERN / "new-format-dp2-remove-redundancy", TWO_RANKS)
    assert new is not None
    assert newest_useful(new.tree, TWO_RANKS, COURSE).point == new


def test_a_lying_save_is_an_answer_and_no_crash(run: Run) -> None:
    """metadata.json speaks of another shape than the file has."""
    write_file(saved(run) / MODEL, {"w": np.zeros((3, 3), "float32")})
    assert newest(run) == "iteration_00000006"


def test_shards_without_replicas_go_into_a_cut_network_only(tmp_path: Path) -> None:
    """MindSpore refuses to load them into one that is not compiled, which a data parallel one is not."""
    run = redundancy.write(small_run(tmp_path / "output", (2, 2)), lambda _name, _group: 0)
    expected = Expected("glm-6b", 4, needs_strategy=True)
    sinking = Schedule.of(4, (40, 4))
    cut = newest_useful(run.source, expected, Course(sinking, is_cut=True, dialect=COURSE.dialect))
    assert cut.point is not None
    whole = newest_useful(run.source, expected, Course(sinking, is_cut=False, dialect=COURSE.dialect))
    assert whole.point is None
    assert whole.obstacle is not None
    assert "31_4 leaves out replicas" in whole.obstacle.what
    over = Course(Schedule.of(4, (31, 4)), is_cut=False, dialect=COURSE.dialect)
    assert newest_useful(run.source, expected, over).point is not None
