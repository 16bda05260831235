"""Plays a rank of a training that is worth looking at: MindFormers' own lines, a loss that falls, a known error.

It trains nothing. SHOW_EPOCHS=N: it stays there when so many of 31 epochs are done, without a word, until it is ended.
SHOW_FAILS=RANK: that rank is then told by its device that it has no memory left, and ends.
"""

import argparse
import math
import os
import random
import signal
import sys
import time

EPOCHS, STEPS = 31, 400


def main() -> None:
    """Play it."""
    parser = argparse.ArgumentParser()
    for option in ("--config", "--use_parallel", "--run_mode", "--output_dir", "--load_checkpoint"):
        parser.add_argument(option)
    parser.parse_args()
    rank, done = int(os.environ["RANK_ID"]), int(os.environ["SHOW_EPOCHS"]) * STEPS
    noise = random.Random(7)  # noqa: S311 - repeatable, not secret
    began = time.time() - 1.2 * done
    for number in range(1, done + 1):
        log(began + 1.2 * number, number, noise.gauss(0, 0.05), noise.gauss(0, 12))
    if os.environ.get("SHOW_FAILS") == str(rank):
        fail()
    sys.stdout.flush()
    signal.pause()


def log(at: float, number: int, loss: float, milliseconds: float) -> None:
    """Say of a step what MindFormers 0.8 does; `loss` and `milliseconds` are added to what the step has anyway."""
    epoch, step = divmod(number - 1, STEPS)
    loss = 1.2 + 9 * math.exp(-number / 900) + 1.4 * math.exp(-number / 5000) + loss * (0.4 + 600 / (number + 300))
    rate = 5e-5 * min(1, number / 600) * (1 - number / EPOCHS / STEPS)
    took = round(1210 + milliseconds)
    moment = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))},{int(at % 1 * 1000):03d}"
    said = f"{moment} - mindformers[mindformers/core/callback/callback.py:315] - INFO - "
    sys.stdout.write(
        f"{said}{{ Epoch:[{epoch + 1:3d}/{EPOCHS:3d}], step:[{step + 1:5d}/{STEPS:5d}], "
        f"loss:[{loss:5.3f}/{loss:5.3f}], per_step_time: {took}ms, lr: {rate:.3e}, overflow cond: False, "
        "loss_scale: 65536.0\n"
        f"{said}{100 * number / EPOCHS / STEPS:6.1f}% |{' ' * 50}| {8000 / took:.2f} samples/s/p  0:20:00 }}\n"
    )


def fail() -> None:
    """End as a rank does whose device has no memory left."""
    raise RuntimeError(
        "Malloc device memory failed, size[2684354560], ret[207001], EL0004: Failed to allocate memory. "
        "Device 3 Available HBM size:34359738368 free size:1207959552"
    )


main()
