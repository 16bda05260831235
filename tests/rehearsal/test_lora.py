"""The seed's second flow with the real MindFormers 0.8: adapters, trained data parallel, are merged into weights."""

import json
import os
from pathlib import Path

import pytest

from daemon.client import submission
from daemon.client.rehearsal import Stage, training_python
from daemon.core.states import State
from handlers.ckpt.publishing.manifest import read_manifest

pytestmark = pytest.mark.rehearsal

CHANGES = {
    b"    type: GLMConfig\n": b"""\
    type: GLMConfig
    pet_config:
      pet_type: lora
      lora_rank: 4
      lora_alpha: 16
      lora_dropout: 0.0
      target_modules: '.*query_key_value*'
""",
    b"parallel_mode: 1 ": b"parallel_mode: 0 ",
    b"full_batch: True": b"full_batch: False",
    b"gradients_mean: False": b"gradients_mean: True",
    b"  data_parallel: 1\n  model_parallel: 2\n": b"  data_parallel: 2\n  model_parallel: 1\n",
    b"  batch_size: 2\n": b"  batch_size: 1\n",
    b"loss_scale_value: 4294967296": b"loss_scale_value: 1024",  # from 2**32, the first steps overflow
    b"epochs: 31": b"epochs: 8",
    b"learning_rate: 1.e-2": b"learning_rate: 1.e-1",
    b'prefix: "glm-6b"': b'prefix: "glm-6b-lora"',
    b'  devices: "[0,2)"\n': b'  devices: "[0,2)"\n  merge:\n    lora: merge\n',
}
"""What makes the rehearsal's YAML one of run_glm_6b_lora.yaml's shape."""


def test_adapters_are_merged_into_what_they_were_trained_on(tmp_path: Path) -> None:
    """A plain GLM of one process, with the merged file, has the loss of the ranks with adapters, to 6 digits."""
    with Stage(tmp_path, training_python(Path(os.environ.get("GLMD_TRAINING_PYTHON", "")))) as stage:
        stage.furnish()
        yaml = stage.yaml()
        for before, after in CHANGES.items():
            assert before in yaml, before
            yaml = yaml.replace(before, after)
        stage.start_daemon()
        found = submission.wait_for_job(submission.drop(yaml, "lora.yaml", stage.root), stage.root, 30.0)
        assert found is not None, stage.daemon_log.read_text()[-3000:]
        end = submission.follow(found.job.id, stage.root, lambda _: None)
        assert end.job.state is State.DONE, f"{end.job.reason}; {stage.daemon_log.read_text()[-3000:]}"
        merged = end.job.directory(stage.root.path).merged
        printed = stage.run_training_script("check_loss.py", str(merged / "filtered_transformed.ckpt"), fine=(0, 1))

    losses = json.loads(printed)
    assert losses["digits"] >= 6, losses
    assert losses["loss"] < losses["before"] - 0.02
    assert not [each.name for each in read_manifest(merged / "manifest.json").parameters if "lora" in each.name]
