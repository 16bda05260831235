"""Jobs of today's MindFormers, as their users meet them: killed and resumed, merged, continued by the next night."""

import json
import signal
from pathlib import Path

import pytest

from daemon.core.control import Request, ask_for
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from handlers.ckpt import walk
from tests.acceptance.house import CONFIG, House
from tests.loop_disk import loop_disk

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
    ("form", "tag", "last"),
    (
        ("shared", "2_4", "3_4"),
        ("data parallel", "2_4", "3_4"),
        ("new", "iteration_00000008", "iteration_00000012"),
    ),
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
    assert "resumed from iteration_00000004 after: rank 0" in "\n".join(reasons(modern))
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
    link = next((modern.directory(2).path / "initial").rglob("*model.safetensors"))
    assert link.resolve() == Path(modern.directory(1).merged / "model.safetensors").resolve()


def united(house: House, tag: str) -> None:
    """Fail unless the second attempt has begun with one file that has all, by the names of both ranks' shards."""
    directory = house.directory().resume_from(2)
    paths = [directory / f"checkpoint/rank_{rank}/glm-6b_rank_{rank}-{tag}.safetensors" for rank in (0, 1)]
    assert sorted(path for path in directory.rglob("*") if path.is_file()) == paths
    assert paths[0].samefile(paths[1])
    whole = {"lm_head.weight", "transformer.embedding.weight", "adam_m.lm_head.weight", "adam_v.lm_head.weight"}
    assert set(walk(paths[0]).entries) == {*whole, "epoch_num", "global_step", "step_num"}


def test_shards_that_mindformers_does_not_load_are_united(modern: House) -> None:
    """Of a data parallel run; the check does not warn of it, and MindFormers is told that nothing is left out."""
    modern.environment(STANDIN_KILL="1,8")
    text = today(modern, "data parallel")
    modern.start().drop(text=text)
    modern.until(State.DONE)
    united(modern, "2_4")
    config = modern.directory().resumed_config(2).read_text()
    for line in ("remove_redundancy: false", 'load_ckpt_format: "safetensors"', 'resume_training: "glm-6b_rank_0-2_4'):
        assert f"\n{line}" in config
    (modern.data / "run.yaml").write_text(text)
    checked = modern.run("check", str(modern.data / "run.yaml"))
    assert "resumed" not in checked.stdout + checked.stderr


def test_shards_are_united_for_a_retry(modern: House) -> None:
    """Where glmd is not to resume by itself."""
    modern.environment(STANDIN_KILL="1,8")
    modern.start().drop(text=today(modern, "data parallel", "  resume: {attempts: 0}\n"))
    modern.until(State.FAILED)
    assert modern.run("retry", "1").returncode == 0
    modern.wait(lambda: modern.job().attempt == 2, "the second attempt")
    modern.until(State.DONE)
    united(modern, "2_4")
    assert "begins after step 8" in said(modern)


@pytest.mark.parametrize("how", ("cut", "gone"))
def test_a_save_that_one_rank_did_not_finish_costs_one_save(modern: House, how: str) -> None:
    """Nothing is made of half of it."""
    modern.environment(STANDIN_KILL="1,8", STANDIN_SPOILS=how)
    modern.start().drop(text=today(modern, "data parallel"))
    assert modern.until(State.DONE).attempt == 2
    united(modern, "1_4")
    assert any("resumed from 1_4 after: rank 1" in reason for reason in reasons(modern))
    assert "begins after step 4" in said(modern)


@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGTERM))
def test_a_daemon_that_ends_while_it_unites_begins_anew(modern: House, number: signal.Signals) -> None:
    """It answers meanwhile, says what it does, and holds the devices; what is half-written is not taken for whole."""
    modern.environment(STANDIN_KILL="1,8", STANDIN_MIB="192")
    modern.start().drop(text=today(modern, "data parallel"))
    modern.wait(lambda: any(job.reason.startswith("unites what the ranks") for job in modern.jobs()), "the uniting")
    assert modern.answers()
    with ReadStore.open(modern.root / "glmd.db") as store:
        assert store.locks() == {0: 1, 1: 1}
    modern.stop(number)
    modern.start()
    assert modern.until(State.DONE).attempt == 2
    united(modern, "2_4")
    assert not [*modern.root.glob("jobs/*/attempts/*/.*.tmp")]
    assert "begins after step 8" in said(modern)


def test_a_cancel_ends_the_uniting(modern: House) -> None:
    """Or the attempt, where it has begun by then: the devices are free, and nothing half-written is left."""
    modern.environment(STANDIN_KILL="1,8", STANDIN_MIB="192")
    modern.start().drop(text=today(modern, "data parallel"))
    modern.wait(lambda: any(job.reason.startswith("unites what the ranks") for job in modern.jobs()), "the uniting")
    ask_for(modern.root, Request("cancel", 1))
    modern.wait(lambda: modern.job().state.is_over, "the end")
    assert modern.job().state in {State.FAILED, State.CANCELLED}
    assert modern.job().state is State.CANCELLED or not modern.directory().resume_from(2).exists()
    assert not [*modern.root.glob("jobs/*/attempts/*/.*.tmp")]
    with ReadStore.open(modern.root / "glmd.db") as store:
        assert store.locks() == {}


def test_a_full_disk_is_waited_for(modern: House, tmp_path: Path) -> None:
    """Where the check could not foresee it. The fault says how much is needed; with room the job goes on by itself."""
    place = tmp_path / "disk"
    with loop_disk(place, 512):
        modern.root = place / "root"
        modern.root.mkdir()
        modern.environment(STANDIN_KILL="1,8", STANDIN_MIB="64", STANDIN_FILLS=str(place / "ballast"))
        text = today(modern, "data parallel").replace("keep_checkpoint_max: 5", "keep_checkpoint_max: 1")
        modern.start().drop(text=text)
        modern.wait(lambda: "cannot be united" in modern.run("status").stdout, "the fault")
        assert "the output needs 67109" in modern.run("status").stdout
        assert modern.job().state is State.TRAINING
        (place / "ballast").unlink()
        assert modern.until(State.DONE).attempt == 2
        united(modern, "2_4")
        modern.stop()


def test_a_ckpt_is_no_beginning_in_the_new_format(modern: House) -> None:
    """The file is refused by name, before anything starts, and says what to merge into."""
    modern.start().drop("one.yaml", text=today(modern, "shared"))
    modern.until(State.DONE)
    modern.drop("two.yaml", text=today(modern, "new", "  continue_from: latest\n"))
    modern.wait(lambda: any((modern.root / "rejected").glob("*.reason.txt")), "the refusal")
    (reason,) = (modern.root / "rejected").glob("*.reason.txt")
    assert "(merge: format: safetensors)" in reason.read_text()
