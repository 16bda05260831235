"""Jobs of today's MindFormers, as their users meet them: killed and resumed, merged, continued by the next night."""

import json
from pathlib import Path

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.states import State
from handlers.ckpt import walk
from tests.acceptance.house import CONFIG, House

SHARED = '    checkpoint_format: "safetensors"\n    remove_redundancy: True\n'
NEW = "checkpoint:\n  save_max: 5\n  save_remove_redundancy: True\n"
SAFE = "  merge: {format: safetensors}\n"


def today(house: House, form: str, section: str = "") -> str:
    """Return a file for MindFormers 1.9 that saves shards without redundancy, or in the new format."""
    text = CONFIG.format(data=house.data, devices="[0,2)").replace("CheckpointMointor", "CheckpointMonitor")
    for old, new in (
        ("epochs: 1", "epochs: 3"),
        ("    keep_checkpoint_max: 1\n", f"    keep_checkpoint_max: 5\n{SHARED}"),
        ("GLMConfig", "ChatGLM2Config"),
        ("GLMForPreTraining", "ChatGLM2ForConditionalGeneration"),
    ):
        text = text.replace(old, new)
    if form == "new":
        text = text.replace(f"load_checkpoint: '{house.data}/base.ckpt'\n", "").replace(
            "callbacks:", f"{NEW}callbacks:"
        )
    if form != "data parallel":
        text = text.replace("parallel_mode: 0", "parallel_mode: 1")
    return text + section


@pytest.fixture
def modern(house: House) -> House:
    """Return a root whose MindFormers is 1.9."""
    house.training |= {"mindformers": "1.9", "entry": "run_today.py"}
    return house


def reasons(house: House, number: int = 1) -> list[str]:
    """Return why a job went each of its steps."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return [step.reason for step in store.history(number)]


def said(house: House, number: int = 1) -> str:
    """Return what rank 1 has printed in the last attempt."""
    return house.directory(number).rank_log(1).read_text()


@pytest.mark.parametrize(
    ("form", "tag", "last"), (("shared", "2_4", "3_4"), ("new", "iteration_00000008", "iteration_00000012"))
)
def test_a_killed_training_is_resumed_and_merged(modern: House, form: str, tag: str, last: str) -> None:
    """From its newest save, though each rank has half of it; nothing is trained twice, and all of it is merged."""
    modern.environment(STANDIN_KILL="1,8")
    modern.start().drop(text=today(modern, form))
    job = modern.until(State.DONE)
    assert job.attempt == 2
    assert any(f"resumed from {tag} after: rank 1 on device 1" in reason for reason in reasons(modern))
    assert "begins after step 8" in said(modern)
    merged = modern.directory().merged
    manifest = json.loads((merged / "manifest.json").read_text())
    assert manifest["tag"] == last
    names = set(walk(merged / "filtered_transformed.ckpt").entries)
    assert {"lm_head.weight", "transformer.embedding.weight"} <= names
    assert not any(name.startswith("adam") for name in names)


def test_a_tracker_that_was_cut_off_costs_one_save(modern: House) -> None:
    """Nobody vouches for the newest then; the one before is whole."""
    modern.environment(STANDIN_KILL="0,8", STANDIN_TRACKER="")
    modern.start().drop(text=today(modern, "new"))
    assert modern.until(State.DONE).attempt == 2
    assert any("resumed from iteration_00000004 after: rank 0" in reason for reason in reasons(modern))
    assert "begins after step 4" in said(modern)


@pytest.mark.parametrize("form", ("shared", "new"))
def test_the_next_night_begins_with_what_was_merged(modern: House, form: str) -> None:
    """In safetensors, which MindFormers is told, whatever the file says of the weights of the first night."""
    section = "  continue_from: latest\n" + SAFE
    modern.start().drop("glm-20261101T020000Z.yaml", text=today(modern, form, section))
    modern.until(State.DONE)
    modern.drop("glm-20261102T020000Z.yaml", text=today(modern, form, section) + "# the next\n")
    modern.until_taken("glm-20261102T020000Z")
    modern.until(State.DONE, 2)
    assert modern.job(2).continues == 1
    loaded = next(line for line in said(modern, 2).splitlines() if line.startswith("loads "))
    assert "'lm_head.weight'" in loaded
    assert "adam" not in loaded
    assert "begins after step 0" in said(modern, 2)
    link = next((modern.directory(2).path / "initial").rglob("model.safetensors"))
    assert link.resolve() == Path(modern.directory(1).merged / "model.safetensors").resolve()


def test_what_no_mindformers_loads_is_not_resumed_from(modern: House) -> None:
    """Shards without replicas of a data parallel run: the job says what to change, and keeps its devices no longer."""
    modern.environment(STANDIN_KILL="1,8")
    modern.start().drop(text=today(modern, "data parallel"))
    job = modern.until(State.FAILED)
    assert job.attempt == 1
    assert "2_4 leaves out replicas, and MindFormers loads such a save into a cut network only" in job.reason
    assert "set remove_redundancy to False" in job.reason


def test_a_ckpt_is_no_beginning_in_the_new_format(modern: House) -> None:
    """The file is refused by name, before anything starts, and says what to merge into."""
    modern.start().drop("one.yaml", text=today(modern, "shared"))
    modern.until(State.DONE)
    modern.drop("two.yaml", text=today(modern, "new", "  continue_from: latest\n"))
    modern.wait(lambda: any((modern.root / "rejected").glob("*.reason.txt")), "the refusal")
    (reason,) = (modern.root / "rejected").glob("*.reason.txt")
    assert "(merge: format: safetensors)" in reason.read_text()
