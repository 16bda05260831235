"""Promises of the rehearsal's entry point and of its proof, kept with the real MindFormers."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.rehearsal

HERE = Path(__file__)
REHEARSAL = HERE.parents[2] / "configs" / "rehearsal"
MP8 = HERE.parents[1] / "fixtures" / "strategies" / "mp8"


@pytest.fixture(scope="session")
def python() -> Path:
    """Return the interpreter of the training environment."""
    given = os.environ.get("GLMD_TRAINING_PYTHON", "")
    if not Path(given).is_file():
        pytest.fail(f"GLMD_TRAINING_PYTHON ({given!r}) is no interpreter; `make test` sets up the training environment")
    return Path(given)


def run(python: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the training environment."""
    return subprocess.run(
        [python, *map(str, words)], capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def test_strategy_files_and_slices_are_those_of_mindspore(python: Path, tmp_path: Path) -> None:
    """The files say and hold, message for message and element for element, what MindSpore's own would."""
    done = run(python, HERE.with_name("mindspore_agrees.py"), MP8, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def job(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a job that one rank has trained, two epochs long."""
    job = tmp_path_factory.mktemp("job")
    data = job / "data"
    made = run(python, REHEARSAL / "make_data.py", data, LOCAL_DEFAULT_PATH=str(job / "made"))
    assert made.returncode == 0, made.stderr
    yaml = (REHEARSAL / "rehearsal.yaml").read_text(encoding="utf-8").replace("{data}", str(data))
    (job / "config.yaml").write_text(yaml, encoding="utf-8")
    trained = run(
        python, REHEARSAL / "run_mindformer.py", f"--config={job / 'config.yaml'}", f"--output_dir={job / 'output'}",
        "--use_parallel=False", "--epochs=2", "--batch_size=2", "--parallel_config.model_parallel=1",
        "--runner_wrapper.scale_sense.loss_scale_value=1024",  # from 2**32, the first steps overflow and change nothing
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "{ Epoch:[  2/  2], step:[    4/    4], loss:[" in trained.stdout
    return job


def check_loss(python: Path, job: Path, checkpoint: Path) -> tuple[int, Mapping[str, object]]:
    """Return the exit code and what was printed."""
    merged = job / "merged" / "filtered_transformed.ckpt"
    merged.parent.mkdir(exist_ok=True)
    merged.unlink(missing_ok=True)
    merged.symlink_to(checkpoint)
    done = run(python, REHEARSAL / "check_loss.py", merged, LOCAL_DEFAULT_PATH=str(job / "checked"))
    return done.returncode, json.loads(done.stdout or "{}")


def shard(job: Path) -> Path:
    """Return the one checkpoint."""
    (path,) = job.glob("output/checkpoint/rank_0/glm-6b_rank_0-2_4.ckpt")
    return path


def test_the_trained_weights_give_the_trained_loss(python: Path, job: Path) -> None:
    """In another process, from the file alone, to the last bit; and it is not the loss of before."""
    code, found = check_loss(python, job, shard(job))
    assert (code, found["equal"], found["digits"]) == (0, True, 17)
    assert found["loss"] != found["before"]


def test_other_weights_do_not_pass(python: Path, job: Path) -> None:
    """The proof can fail: the weights that the training began with are refused."""
    code, found = check_loss(python, job, job / "data" / "initial.ckpt")
    assert (code, found["equal"]) == (1, False)


def test_half_of_a_weight_does_not_pass(python: Path, job: Path, tmp_path: Path) -> None:
    """A slice is not taken for the whole, and a missing parameter is not left at what it was."""
    half = tmp_path / "half.ckpt"
    code = (
        "import sys, mindspore as ms; found = ms.load_checkpoint(sys.argv[1]); name = 'lm_head.weight';"
        "found[name] = ms.Parameter(found[name].asnumpy()[:65264], name=name);"
        "ms.save_checkpoint([{'name': n, 'data': p} for n, p in found.items()], sys.argv[2])"
    )
    assert run(python, "-c", code, shard(job), half).returncode == 0
    assert check_loss(python, job, half) == (2, {})


def test_nothing_is_left_in_the_checkout(job: Path) -> None:
    """MindFormers would copy its YAMLs to where it runs; an installed glmd must stay as it was installed."""
    assert shard(job).is_file()
    assert {path.suffix for path in REHEARSAL.iterdir() if path.name != "__pycache__"} == {
        ".py", ".yaml", ".conf", ".in", ".txt",
    }  # fmt: skip
