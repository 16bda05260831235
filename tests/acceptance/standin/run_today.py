"""A light stand-in for MindFormers 1.9, beside run_mindformer.py, which is one for 0.8.

It trains nothing: three passes of four steps, of two replicas of a network that is cut, if the YAML says so, into one
part. Such a one has strategy files. It saves after steps 4 and
8 and at the end, as the YAML says: safetensors, with remove_redundancy, or iterations of the new format, whose tracker
it writes last. It begins with what the YAML names, and ends with an error where MindFormers 1.9 would: a wrong
load_ckpt_format, shards that are not there, a save without common.json. What it does beyond that is told by the
environment, through `training.environment`:

    STANDIN_KILL=RANK,STEP  that rank is killed after that step, once all have saved, unless the training is resumed
    STANDIN_TRACKER=TEXT    what rank 0 writes into the tracker after the save that it is killed in
    STANDIN_SPOILS=cut      that rank cuts the last byte off its newest shard before; `gone` removes it
    STANDIN_FILLS=FILE      it makes a file of all that is left of the disk, but for 56 MiB
    STANDIN_MIB=N           a weight is so many MiB large
"""

import argparse
import json
import os
import re
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindspore.communication import init
from ruamel.yaml import YAML

PASSES, STEPS = 3, 4
TRACKER = "latest_checkpointed_iteration.txt"
TENSORS = {
    "lm_head.weight": ("F32", [2, 4], struct.pack("<8f", *range(8))),
    "transformer.embedding.weight": ("F32", [4, 2], struct.pack("<8f", *range(8, 16))),
    "adam_m.lm_head.weight": ("F32", [2, 4], bytes(32)),
    "adam_v.lm_head.weight": ("F32", [2, 4], bytes(32)),
}
if mib := int(os.environ.get("STANDIN_MIB", "0")):
    TENSORS["transformer.embedding.weight"] = ("F32", [mib << 17, 2], bytes(mib << 20))
NAMES = {"F32": "Float32", "I32": "Int32"}

Config = dict[str, Any]


def main() -> None:
    """Play one rank."""
    parser = argparse.ArgumentParser()
    for option in ("--config", "--use_parallel", "--run_mode", "--output_dir", "--load_checkpoint"):
        parser.add_argument(option)
    arguments = parser.parse_args()
    init()
    rank, ranks = int(os.environ["RANK_ID"]), int(os.environ["RANK_SIZE"])
    config: Config = YAML(typ="safe").load(Path(arguments.config))
    if arguments.load_checkpoint:
        config["load_checkpoint"] = arguments.load_checkpoint
    run = Run(config, Path(arguments.output_dir) / "checkpoint", rank, ranks)
    begin = run.begin()
    print(f"begins after step {begin}", flush=True)
    dies, at = map(int, os.environ.get("STANDIN_KILL", "-1,0").split(","))
    if "STANDIN_TRACKER" in os.environ and not begin:
        run.tracked = {at: os.environ["STANDIN_TRACKER"]}
    for number in range(begin + 1, PASSES * STEPS + 1):
        epoch, step = divmod(number - 1, STEPS)
        print(
            f"2026-11-24 09:14:07,000 - mindformers - INFO - {{ Epoch:[{epoch + 1:3d}/{PASSES:3d}], "
            f"step:[{step + 1:5d}/{STEPS:5d}], loss: 2.000, per_step_time: 500ms, overflow cond: False }}",
            flush=True,
        )
        if number % STEPS == 0:
            run.save(number)
        if (rank, number) == (dies, at) and not begin:
            run.spoil(number, os.environ.get("STANDIN_SPOILS", ""))
            os.kill(os.getpid(), signal.SIGKILL)


class Run:
    """What a rank loads and saves."""

    def __init__(self, config: Config, saves: Path, rank: int, ranks: int) -> None:
        self.saves = saves
        self.tracked: dict[int, str] = {}
        """What rank 0 writes into the tracker after a step, where that is not its number: the others wait for that."""
        self._config, self._rank, self._ranks = config, rank, ranks
        self._section: Config = config.get("checkpoint") or {}
        self._is_new = bool(self._section) or config.get("use_legacy_format") is False
        callback = next(each for each in config["callbacks"] if each["type"] == "CheckpointMonitor")
        self._prefix = self._section.get("prefix", callback["prefix"])
        self._is_cut = config["parallel"]["parallel_mode"] == 1
        self._is_shared_out = bool(self._section.get("save_remove_redundancy", callback.get("remove_redundancy")))

    def begin(self) -> int:
        """Load what the YAML names, and return after which step it was saved, 0 where it is not gone on from there."""
        path = self._section.get("load_path") or self._config.get("load_checkpoint")
        if not path:
            return 0
        return self._begin_new(Path(path)) if self._is_new else self._begin_legacy(Path(path))

    def _begin_new(self, path: Path) -> int:
        held = [name for file in path.glob("*.safetensors") for name in read(file)]
        if self._section.get("no_load_optim", not self._config.get("resume_training")):
            print(f"loads {sorted(held)} of {path}", flush=True)
            return 0
        assert set(TENSORS) <= set(held), held
        return int(json.loads((path / "common.json").read_text())["step_num"])

    def _begin_legacy(self, path: Path) -> int:
        if self._config.get("load_ckpt_format", "ckpt") != "safetensors":
            print(f"loads {path}", flush=True)
            assert path.is_file(), path
            return 0
        directory, name = path / f"rank_{self._rank}", self._config.get("resume_training")
        if not isinstance(name, str):
            (file,) = (path if self._config["auto_trans_ckpt"] else directory).iterdir()
            print(f"loads {sorted(read(file))} of {file}", flush=True)
            return 0
        file = directory / re.sub(r"_rank_\d+-", f"_rank_{self._rank}-", name)
        lacks_replicas = b'"remove_redundancy": "True"' in file.read_bytes()
        assert lacks_replicas is self._config["remove_redundancy"]
        if lacks_replicas and not self._is_cut:
            raise ValueError(
                "When loading a parameter dict that has removed redundancy, the network should be compiled."
            )
        assert "epoch_num" in read(file)
        epoch, step = map(int, re.search(r"-(\d+)_(\d+)\.safetensors$", name).groups())  # type: ignore[union-attr]
        return (epoch - 1) * STEPS + step

    def save(self, number: int) -> None:
        """Save, and wait for the others."""
        mine = {
            name: tensor
            for at, (name, tensor) in enumerate(TENSORS.items())
            if not self._is_shared_out or at % self._ranks == self._rank
        }
        if self._is_new:
            self._save_new(number, mine)
            return
        scalars = {"epoch_num": number // STEPS, "global_step": number, "step_num": STEPS}
        tensors = mine | {name: ("I32", [1], struct.pack("<i", value)) for name, value in scalars.items()}
        if self._is_cut:
            self._write_strategy()
        tag = f"{number // STEPS}_{STEPS}"
        names = [f"rank_{each}/{self._prefix}_rank_{each}-{tag}.safetensors" for each in range(self._ranks)]
        write(self.saves / names[self._rank], tensors, {"format": "ms", "remove_redundancy": str(self._is_shared_out)})
        wait_for(lambda: all((self.saves / name).exists() for name in names))

    def spoil(self, number: int, how: str) -> None:
        """Leave of this rank's shard what a rank leaves that is killed before it has saved; fill the disk."""
        name = f"{self._prefix}_rank_{self._rank}-{number // STEPS}_{STEPS}.safetensors"
        path = self.saves / f"rank_{self._rank}" / name
        if how == "cut":
            content = path.read_bytes()
            path.chmod(0o600)
            path.write_bytes(content[:-1])
            path.chmod(0o400)
        if how == "gone":
            path.unlink()
        if "STANDIN_FILLS" in os.environ:
            disk = os.statvfs(self.saves)
            with Path(os.environ["STANDIN_FILLS"]).open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, disk.f_bavail * disk.f_frsize - (56 << 20))

    def _write_strategy(self) -> None:
        path = self.saves.parent / "strategy" / f"ckpt_strategy_rank_{self._rank}.json"
        path.parent.mkdir(exist_ok=True)
        lay = {"dev_matrix": [self._ranks], "tensor_map": [-1, -1], "field": 0}
        lay |= {"opt_weight_shard_step": 0, "opt_weight_shard_size": 0}
        operators = {"MatMul-0": {"stage": 0, "parallel_strategy": [[1, 2], [2, 1]]}}
        items = dict.fromkeys(TENSORS, lay)
        told = {"current_stage": 1, "parallel_strategy_item": operators, "parallel_layout_item": items}
        path.write_text(json.dumps(told))

    def _save_new(self, number: int, mine: dict[str, Any]) -> None:
        save = self.saves / f"iteration_{number:08}"
        for kind in ("model", "opt"):
            held = {name: tensor for name, tensor in mine.items() if name.startswith("adam") is (kind == "opt")}
            if held:
                write(save / self._file(kind, self._rank), held, {"format": "ms"})
        names = {
            self._file("opt" if name.startswith("adam") else "model", rank)
            for at, name in enumerate(TENSORS)
            for rank in self._holders(at)
        }
        wait_for(lambda: all((save / name).exists() for name in names))
        if self._rank == 0:
            (save / "metadata.json").write_text(json.dumps(self._metadata()))
            common = {"epoch_num": number // STEPS, "step_num": number, "global_step": number, "global_batch_size": 4}
            (save / "common.json").write_text(json.dumps(common | {"loss_scale": None, "ckpt_status": None}))
            (self.saves / TRACKER).write_text(self.tracked.get(number, str(number)))
            return
        wait_for(lambda: (self.saves / TRACKER).exists() and (self.saves / TRACKER).read_text() == str(number))

    def _holders(self, at: int) -> list[int]:
        return [at % self._ranks] if self._is_shared_out else [*range(self._ranks)]

    def _file(self, kind: str, rank: int) -> str:
        return f"{self._prefix}-{kind}-{rank:07}-{self._ranks:07}.safetensors"

    def _metadata(self) -> Config:
        described, stored = {}, {}
        for at, (name, (kind, shape, _)) in enumerate(TENSORS.items()):
            described[name] = {
                "properties": {"dtype": NAMES[kind], "replica_id": [0], "allow_to_save": True},
                "global_shape": shape,
                "axis_fragmentations": [1, 1],
                "layout": {
                    "device_matrix": [self._ranks],
                    "tensor_map": [-1, -1],
                    "interleaved_parallel": False,
                    "alias_name": ["axis0"],
                    "rank_list": [*range(self._ranks)],
                },
                "chunk": [{"global_offset": [0], "local_shape": shape}],
            }
            part = "opt" if name.startswith("adam") else "model"
            stored[str((name, (0,)))] = [
                {"file_name": self._file(part, rank), "storage_rank": rank, "rank_group": [*range(self._ranks)]}
                for rank in self._holders(at)
            ]
        return {"state_dict_metadata": described, "storage_data": stored}


def write(path: Path, tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    """Write safetensors, as MindSpore does: under another name first, and mode 0400 last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header: Config = {"__metadata__": metadata}
    at = 0
    ordered = sorted(tensors.items(), key=lambda item: (item[1][0], item[0]))
    for name, (kind, shape, content) in ordered:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at := at + len(content)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    unfinished = path.with_name(f"{path.name}.tmp")
    unfinished.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(content for _, (*_, content) in ordered))
    unfinished.chmod(0o400)
    unfinished.rename(path)


def read(path: Path) -> list[str]:
    """Return the names in safetensors."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        return [name for name in json.loads(stream.read(length)) if name != "__metadata__"]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("waited in vain: a rank is gone")
        time.sleep(0.02)


main()
