"""A light stand-in for MindFormers: takes its arguments and environment, prints its log lines, saves its files.

It trains nothing. The real thing runs in tests/rehearsal; this one lets the daemon's tests take seconds. What it does
beyond that is told by the environment, through `training.environment`:

    STANDIN_GATE=PATH    wait until PATH exists before the last step
    STANDIN_FAIL=RANK    that rank dies with a traceback at the second epoch
    STANDIN_HANG=1       say nothing and do nothing, as ranks that hang at connect
    STANDIN_DIFFER=RANK  that rank's weights differ from the others', which no data parallel run's do
"""

import argparse
import os
import signal
import struct
import sys
import time
from pathlib import Path

EPOCHS = 31


def main() -> None:
    """Play one rank."""
    parser = argparse.ArgumentParser()
    for option in ("--config", "--use_parallel", "--run_mode", "--output_dir", "--load_checkpoint"):
        parser.add_argument(option)
    output, rank = Path(parser.parse_args().output_dir), int(os.environ["RANK_ID"])
    assert Path(os.environ["RANK_TABLE_FILE"]).is_file()
    gate = os.environ.get("STANDIN_GATE")
    if "STANDIN_HANG" in os.environ:
        signal.pause()
    for epoch in range(1, EPOCHS + 1):
        print(
            f"2026-11-24 09:14:07,000 - mindformers - INFO - {{ Epoch:[{epoch:3d}/{EPOCHS:3d}], step:[    4/    4], "
            f"loss:[{9 - epoch / 10:.3f}/{9 - epoch / 10:.3f}], per_step_time: 500ms, overflow cond: False }}",
            flush=True,
        )
        if epoch == 2 and os.environ.get("STANDIN_FAIL") == str(rank):
            raise ValueError("loss is not a number")
        if epoch == EPOCHS - 1 and gate:
            deadline = time.monotonic() + 120
            while not Path(gate).exists():
                if time.monotonic() > deadline:
                    sys.exit("the test never opened the gate")
                time.sleep(0.02)
    directory = output / "checkpoint" / f"rank_{rank}"
    directory.mkdir(parents=True)
    path = directory / f"glm-6b_rank_{rank}-{EPOCHS}_4.ckpt"
    path.write_bytes(
        b"".join(record(*entry) for entry in entries(differing=os.environ.get("STANDIN_DIFFER") == str(rank)))
    )
    path.chmod(0o400)


def entries(*, differing: bool) -> list[tuple[str, list[int], str, bytes]]:
    """Return what a data parallel run's rank holds: weights, optimizer state, scalars."""
    weight = struct.pack("<8f", *range(8, 16) if differing else range(8))
    return [
        ("transformer.embedding_table", [4, 2], "Float32", weight),
        ("lm_head.weight", [2, 4], "Float32", weight[::-1]),
        ("adam_m.lm_head.weight", [2, 4], "Float32", bytes(32)),
        ("adam_v.lm_head.weight", [2, 4], "Float32", bytes(32)),
        ("global_step", [1], "Int32", struct.pack("<i", 124)),
    ]


def record(name: str, dims: list[int], kind: str, content: bytes) -> bytes:
    """Return one message of a .ckpt file (facts: Checkpoint.Value)."""
    tensor = b"".join(b"\x08" + varint(dim) for dim in dims) + field(2, kind.encode()) + field(3, content)
    return field(1, field(1, name.encode()) + field(2, tensor))


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Return protobuf's variable-length integer."""
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


main()
