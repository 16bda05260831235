"""The lines that MindFormers logs while it trains: what each form is, and which versions write it.

Read in the releases 0.3 to 1.9 and in master of November 2026 (core/callback/callback.py, trainer/base_trainer.py,
checkpoint/checkpoint.py, pynative/callback/loss_callback.py, tools/logger.py). A rank's log holds them behind PREFIX.
"""

import re

PREFIX = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d{3})? - .{0,500}?\[[^\]]{0,300}:\d{1,9}\] - "
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) - "
)
"""`2026-11-28 14:38:36,471 - mindformers[mindformers/core/callback/callback.py:747] - INFO - `, in all versions."""

STEP = re.compile(
    r"(?:Epoch:\[ *(?P<epoch>\d+)/ *(?P<epochs>\d+)\], )?step:\[ *(?P<step>\d+)/ *(?P<steps>\d+)\], "
    r"loss: ?\[? *(?P<loss>[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf))"
    r"(?:.*?per_step_time: *(?P<milliseconds>\d+) *ms)?"
)
"""A step is done. The forms, the first up to 0.6, where the time is that of a whole sink, so that it is not read:

    Epoch:[  1/  2], step:[    3/    4], loss:[11.770/11.776], time:1237.120 ms, …
    { Epoch:[  1/  2], step:[    3/    4], loss:[11.770/11.776], per_step_time: 1237ms, overflow cond: False, …
    { Epoch:[  1/  2], step:[    3/    4], loss: 11.770, per_step_time: 1237ms, …           with data sinking
    { step:[    3/    8], loss: 11.770000, per_step_time: 1237ms }                          the trainer of `pynative`

The last counts no epochs: its steps are those of the whole training.
"""

STARTING = re.compile(r"\.Starting Training Model\.")
"""Weights are loaded, compiling begins; in all versions but for the trainer of `pynative`, which does not say it."""

SAVING = re.compile(r"\.Saving ckpt\.|\. Start to save checkpoint as new format \.")
"""Shards are written from now on. The second is of 1.7 and newer, where `use_legacy_format: False`."""

SAVED = re.compile(r"Finish saving ckpt of epoch |successfully sync saved checkpoint |\.Training Over!\.")
"""They are written: of 1.3 and newer, of the new format, and of all versions once the last is."""

_ALL_IS_WELL = re.compile(
    r"\{? ?(?:Epoch:\[|step:\[)"  # a step, or what else is told of it (local_norm), also where the line is cut off
    r"| *\d{1,3}\.\d% \|"  # how far the training is, below each step, from 0.8 on
    r"|.*\|▮* *\| ?\d{1,3}%"  # how far a transformation of checkpoints is
    r"|\.{6,7} ?(?:Saving ckpt|Removing redundancy|Start to save|Start saving)\b"
    r"|Finish saving \S+ of epoch |Save \w+(?: \w+)? cost time: |successfully sync saved checkpoint "
    r"|\.+(?:Starting Training Model|Training Over!)\.+"
    r"|Training completed\. |Epoch \d+ finished\. "
)


def all_is_well(line: str) -> bool:
    """Say whether `line`, with PREFIX or without, tells only that the training goes on, saves or is over."""
    prefix = PREFIX.match(line)
    if prefix is not None and prefix["level"] in {"ERROR", "CRITICAL"}:
        return False
    return _ALL_IS_WELL.match(line, prefix.end() if prefix is not None else 0) is not None
