"""A light stand-in for MindFormers: takes its arguments and environment, prints its log lines, saves its files.

It trains nothing, and resumes as MindFormers 0.8 does where the YAML says so: at the epoch after `epoch_num` of the
save, with data sinking from a directory, without from a file. A `learning_rate` of 0.1 and more makes it diverge: from
some round on the loss is NaN, and so are the weights that it saves. The real thing runs in tests/rehearsal; this one
lets the daemon's tests take seconds. It goes on by rounds of four steps, with data sinking a sink each. What it does
beyond that is told by the environment, through `training.environment`:

    STANDIN_DATA=PASSES,STEPS  31,4 if not given: passes over the data, and steps of each, a multiple of four
    STANDIN_GATE=PATH    wait until PATH exists before the last round
    STANDIN_PAUSE=S      seconds that a round takes
    STANDIN_SAVE=ROUNDS  save after those, as 17 or 1,2; after the last one in any case
    STANDIN_FAIL=RANK    that rank dies with a traceback at the second round, or with
    STANDIN_FAIL_AT=ROUND  after that one, and after what all ranks save then
    STANDIN_ABSENT=RANK  that rank of a cluster never comes to the scheduler
    STANDIN_HANG=1       say nothing and do nothing, as ranks that hang at connect
    STANDIN_DIVERGE=ROUND  from which on it does so, 6 if not given
    STANDIN_DIVERGE_ONCE=1  not when it resumes: the data comes in another order then
    STANDIN_DIFFER=RANK  that rank's weights differ from the others', which no data parallel run's do
    STANDIN_PAD=MIB      so much more optimizer state in each save, and a quarter of that more weights
    STANDIN_DEVICES=DIR  hold a lock of the rank's device there, as long as the rank or a child of it lives; where that
                         is held, say so in a file DIR/taken-… and fail: tests/acceptance/house.py looks for those
    STANDIN_RUNS=DIR     hold a lock of the job's rank there, as above: no two attempts of a job may run at once
    STANDIN_EVALUATES=HOW  an evaluation hangs, or fails; else it says where it runs, and a score
    STANDIN_CHILD=HOW    leave a child that is nobody's any more, in a session of its own: one that ends at TERM, or a
                         deaf one; its pid is in DIR/child-RANK
"""

import argparse
import fcntl
import math
import os
import re
import signal
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

PASSES, STEPS = map(int, os.environ.get("STANDIN_DATA", "31,4").split(","))
ROUNDS = PASSES * STEPS // 4
OF_EVALUATIONS = ("--device_id", "--auto_trans_ckpt", "--resume_training")


def main() -> None:
    """Play one rank, or an evaluation."""
    parser = argparse.ArgumentParser()
    for option in ("--config", "--use_parallel", "--run_mode", "--output_dir", "--load_checkpoint", *OF_EVALUATIONS):
        parser.add_argument(option)
    arguments = parser.parse_args()
    if arguments.run_mode == "eval":
        evaluate(Path(arguments.load_checkpoint))
    else:
        train(arguments)


def train(arguments: argparse.Namespace) -> None:
    """Play one rank."""
    output, rank = Path(arguments.output_dir), int(os.environ["RANK_ID"])
    fail_at = int(os.environ.get("STANDIN_FAIL_AT", "2"))
    hold_what_is_wanted(output, rank)
    meet(rank)
    if "STANDIN_CHILD" in os.environ:
        leave_child(Path(os.environ["STANDIN_DEVICES"]), rank, is_deaf=os.environ["STANDIN_CHILD"] == "deaf")
    gate = os.environ.get("STANDIN_GATE")
    if "STANDIN_HANG" in os.environ:
        signal.pause()
    config = Path(arguments.config).read_text()
    sinks = "sink_mode: True" in config
    lost_from = diverges_from(config)
    prefix = re.search(r'^ *prefix: "?([^"\n]*)"?$', config, re.MULTILINE)[1]
    saves = {ROUNDS, *map(int, os.environ.get("STANDIN_SAVE", "0").split(","))}
    for number in range(first_round(config, rank, sinks=sinks), ROUNDS + 1):
        epoch, step = divmod(4 * number - 1, STEPS)
        loss = "  nan" if number >= lost_from else f"{9 - number / 10:.3f}"
        print(
            f"2026-11-24 09:14:07,000 - mindformers - INFO - {{ Epoch:[{epoch + 1:3d}/{PASSES:3d}], "
            f"step:[{step + 1:5d}/{STEPS:5d}], loss:[{loss}/{loss}], "
            "per_step_time: 500ms, overflow cond: False }",
            flush=True,
        )
        time.sleep(float(os.environ.get("STANDIN_PAUSE", "0")))
        tag = (number, 4) if sinks else (epoch + 1, step + 1)
        if number in saves:
            save(output, prefix, rank, *tag, is_lost=number >= lost_from)
        if number == fail_at and os.environ.get("STANDIN_FAIL") == str(rank):
            if number in saves:
                wait_for(partial(all_have_saved, output, prefix, *tag))
            raise ValueError("loss is not a number")
        if number == ROUNDS - 1 and gate:
            wait_for(Path(gate).exists)


def resumes(config: str) -> bool:
    """Say whether the YAML tells MindFormers to resume."""
    return re.search(r"^resume_training: [Tt]rue$", config, re.MULTILINE) is not None


def hold_what_is_wanted(output: Path, rank: int) -> None:
    """Hold the rank's device, and the job's rank, where the environment says so."""
    if "STANDIN_DEVICES" in os.environ:
        hold(Path(os.environ["STANDIN_DEVICES"]), os.environ["DEVICE_ID"])
    if "STANDIN_RUNS" in os.environ:
        job = output.parts[output.parts.index("jobs") + 1]
        hold(Path(os.environ["STANDIN_RUNS"]), f"{job}-rank-{rank}")


def hold(directory: Path, name: str) -> None:
    """Hold a device, or a rank, until this process, and whatever it has forked, is gone; nobody else may be on it."""
    directory.mkdir(exist_ok=True)
    lock = os.open(directory / name, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 4096, 0).decode()
        said = f"device {name}: {Path.cwd()} (pid {os.getpid()}) began while {holder} was on it"
        (directory / f"taken-{name}-{os.getpid()}").write_text(said)
        sys.exit(said)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{Path.cwd()} (pid {os.getpid()})".encode(), 0)


def meet(rank: int) -> None:
    """Meet the other ranks: by the rank table, or at the scheduler, in vain where one never comes."""
    if os.environ.get("MS_ROLE") != "MS_WORKER":
        assert Path(os.environ["RANK_TABLE_FILE"]).is_file()
        return
    from mindspore.communication import init  # noqa: PLC0415 - the one beside this file, which only a cluster needs

    if os.environ.get("STANDIN_ABSENT") == str(rank):
        print("loads a package from a file system that does not answer", flush=True)
        signal.pause()
    init()


def leave_child(directory: Path, rank: int, *, is_deaf: bool) -> None:
    """Fork twice, so that the grandchild has lost its parent; it goes on until it is ended."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if pid := os.fork():
        (directory / f"child-{rank}").write_text(str(pid))
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if is_deaf else signal.SIG_DFL)
    while True:
        signal.pause()


def first_round(config: str, rank: int, *, sinks: bool) -> int:
    """Return where to begin; raises ValueError where MindFormers 0.8 refuses to resume."""
    if not resumes(config):
        return 1
    path = Path(re.search(r'^load_checkpoint: "(.*)"$', config, re.MULTILINE)[1])
    if path.is_dir():
        (path,) = (path / f"rank_{rank}").iterdir()
        if not sinks:
            raise ValueError("When distributed loads are sliced weights, sink_mode must be set True.")
    epoch, epochs = int(re.search(r"-(\d+)_\d+\.ckpt$", path.name)[1]), ROUNDS if sinks else PASSES
    if epoch >= epochs:
        raise ValueError(
            "For 'Model.train', the parameter 'epoch' must bigger than parameter 'initial_epoch', but got the "
            f"parameter 'epoch' is {epochs}, 'initial_epoch' is {epoch}."
        )
    return (epoch if sinks else epoch * STEPS // 4) + 1


def diverges_from(config: str) -> float:
    """Return the first round whose loss is lost; infinity where none is."""
    found = re.search(r"^ *learning_rate: *([-+.\de]+)", config, re.MULTILINE)
    is_resumed = resumes(config)
    if found is None or float(found[1]) < 0.1 or (is_resumed and "STANDIN_DIVERGE_ONCE" in os.environ):
        return math.inf
    return int(os.environ.get("STANDIN_DIVERGE", "6"))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("waited in vain: the test never opened the gate, or a rank is gone")
        time.sleep(0.02)


def shard(output: Path, prefix: str, rank: int, epoch: int, step: int) -> Path:
    """Return where a rank saves."""
    return output / "checkpoint" / f"rank_{rank}" / f"{prefix}_rank_{rank}-{epoch}_{step}.ckpt"


def all_have_saved(output: Path, prefix: str, epoch: int, step: int) -> bool:
    """Tell whether the shards of all ranks are there and closed."""
    shards = [shard(output, prefix, rank, epoch, step) for rank in range(int(os.environ["RANK_SIZE"]))]
    return all(path.exists() and path.stat().st_mode & 0o777 == 0o400 for path in shards)


def save(output: Path, prefix: str, rank: int, epoch: int, step: int, *, is_lost: bool) -> None:
    """Write a rank's shard, as MindSpore does."""
    path = shard(output, prefix, rank, epoch, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    differing = os.environ.get("STANDIN_DIFFER") == str(rank)
    path.write_bytes(b"".join(record(*entry) for entry in entries(epoch, differing=differing, is_lost=is_lost)))
    path.chmod(0o400)


def evaluate(weights: Path) -> None:
    """Play MindFormers' own evaluation: say where it runs, of how many bytes, and a score as ADGENMetric does."""
    how = os.environ.get("STANDIN_EVALUATES")
    where = [os.environ.get(name) for name in ("SLURMD_NODENAME", "ASCEND_RT_VISIBLE_DEVICES")]
    print("evaluates on", *where, weights.stat().st_size, flush=True)
    if how == "hangs":
        signal.pause()
    if how == "fails":
        raise ValueError("no such metric")
    print("metric: ADGENMetric\nrouge-1: 10.5")


def entries(epoch: int, *, differing: bool, is_lost: bool) -> list[tuple[str, list[int], str, bytes]]:
    """Return what a data parallel run's rank holds: weights, optimizer state, scalars."""
    weight = struct.pack("<8f", *[math.nan] * 8 if is_lost else range(8, 16) if differing else range(8))
    pad = int(os.environ.get("STANDIN_PAD", "0")) << 18
    padding = [
        ("pad.weight", [pad // 4], "Float32", bytes(pad)),
        ("adam_m.pad.weight", [pad], "Float32", bytes(4 * pad)),
    ]
    return [
        *(padding if pad else []),
        ("transformer.embedding_table", [4, 2], "Float32", weight),
        ("lm_head.weight", [2, 4], "Float32", weight[::-1]),
        ("adam_m.lm_head.weight", [2, 4], "Float32", bytes(32)),
        ("adam_v.lm_head.weight", [2, 4], "Float32", bytes(32)),
        ("global_step", [1], "Int32", struct.pack("<i", 4 * epoch)),
        ("epoch_num", [0], "Int64", struct.pack("<q", epoch)),
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
