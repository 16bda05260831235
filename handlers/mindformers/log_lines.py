"""The lines that MindFormers logs while it trains: what each form is, and which versions write it.

Read in the releases 0.3 to 1.9 and in master of November 2026 (core/callback/callback.py, trainer/base_trainer.py,
checkpoint/checkpoint.py, pynative/callback/loss_callback.py, tools/logger.py). A rank's log holds them behind PREFIX.
"""

import re

_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d{3})?"
PREFIX = re.compile(
    rf"^{_TIME} - .{{0,500}}?\[[^\]]{{0,300}}:\d{{1,9}}\] - (?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) - ", re.ASCII
)
"""`2026-11-28 14:38:36,471 - mindformers[mindformers/core/callback/callback.py:747] - INFO - `, in all versions."""

TIME = re.compile(_TIME, re.ASCII)
"""When a line was logged, by the clock and in the time zone of the rank's host."""

_NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?(?:[eE][-+]?\d{1,4})?|nan|inf)(?=[\s,/\]}T]|$)"
"""As Python and NumPy print one: `5e-05`, `0.`, `nan`. One that something else follows is damaged."""
_GAP = r"[^{E]{0,200}?"
"""What may stand between two fields: no other step's line, which begins with `{` or `Epoch`."""

STEP = re.compile(
    r"(?:Epoch:\[ *(?P<epoch>\d{1,9})/ *(?P<epochs>\d{1,9})\], )?step:\[ *(?P<step>\d{1,9})/ *(?P<steps>\d{1,9})\], "
    rf"loss: ?(?P<bracket>\[)? *(?P<loss>{_NUMBER})(?(bracket)/ *(?P<mean>{_NUMBER})\],|,)"
    rf"(?:,? lm_loss: *(?P<lm>{_NUMBER}))?"
    rf"(?:, load_balancing_loss: *(?P<balancing>{_NUMBER}))?"
    rf"(?:, mtp_loss: *(?P<mtp>{_NUMBER}))?"
    rf"(?:{_GAP}\bper_step_time: *(?P<milliseconds>\d{{1,12}}) *ms)?"
    rf"(?:{_GAP}\blr: ?\[? *(?P<learning_rate>{_NUMBER}))?"
    rf"(?:{_GAP}\boverflow cond: ?\[? *(?P<overflow>True|False))?"
    rf"(?:{_GAP}\bloss_scale: ?\[? *(?P<loss_scale>{_NUMBER}))?"
    rf"(?:{_GAP}\bglobal_norm: ?\[? *(?P<norm>{_NUMBER}))?"
    rf"(?:{_GAP}\btrain_throughput_per_npu: *(?P<teraflops>{_NUMBER})T)?",
    re.ASCII,
)
"""A step is done. The forms, the first up to 0.6, where the time is that of a whole sink, so that it is not read:

    Epoch:[  1/  2], step:[    3/    4], loss:[11.770/11.776], time:1237.120 ms, lr:[5e-05], overflow cond: False, …
    { Epoch:[  1/  2], step:[    3/    4], loss:[11.770/11.776], per_step_time: 1237ms, overflow cond: False, …
    { Epoch:[  1/  2], step:[    3/    4], loss: 11.770, per_step_time: 1237ms, …           with data sinking
    { step:[    3/    8], loss: 11.770000, per_step_time: 1237ms }                          the trainer of `pynative`

The last counts no epochs: its steps are those of the whole training. All from 0.7 on go on so, in this order; what is
in brackets is not always there, nor is `lr` where it cannot be computed:

    …, [lm_loss: 11.7, load_balancing_loss: 0.1, mtp_loss: 0.2,] per_step_time: 1237ms, lr: [5e-05],
    overflow cond: False, loss_scale: 65536.0[, global_norm: [1.2]][, train_throughput_per_npu: 120.000T]

The losses apart are of 1.7 and newer, `global_norm` of 1.3 and newer, which may be `None`, the throughput of 1.5 and
newer. `loss_scale` may be `unavailable`. Numbers come bare or as arrays of one: `[5.e-05]`.
"""

SAMPLES = re.compile(rf"\d\.\d%%? \|[^|]{{0,200}}\| *(?P<samples>{_NUMBER}) samples/s/p\b", re.ASCII)
"""Samples a second and device, on the line that follows a step's own from 0.7 on, with two digits and from 1.0 five:

      37.5% |██████████████████                                | 11.62237 samples/s/p  0:00:00 }
"""

LOSS_ON_RANK_0 = "zero_bubble_v is enabled, loss is valid only on rank 0"
"""A warning of each rank before its first step, from 1.7 on. With other pipelines it is the last rank's that is."""

STARTING = re.compile(r"\.Starting Training Model\.")
"""Weights are loaded, compiling begins; in all versions but for the trainer of `pynative`, which does not say it."""

SAVING = re.compile(r"\.Saving ckpt\.|\. Start to save checkpoint as new format \.")
"""Shards are written from now on. The second is of 1.7 and newer, where `use_legacy_format: False`."""

SAVED = re.compile(
    r"Finish saving ckpt of epoch |successfully a?sync saved checkpoint |Save checkpoint cost time: |\.Training Over!\."
)
"""They are written: of 1.3 and newer, of the new format by rank 0 and by all, and of all versions once the last is."""

_ALL_IS_WELL = re.compile(
    r"\{? ?(?:Epoch:\[|step:\[)"  # a step, or what else is told of it (local_norm), also where the line is cut off
    r"| *\d{1,3}\.\d% \|"  # how far the training is, below each step, from 0.8 on
    r"|.*\|▮* *\| ?\d{1,3}%"  # how far a transformation of checkpoints is
    r"|\.{6,7} ?(?:Saving ckpt|Removing redundancy|Start to save|Start saving)\b"
    r"|Finish saving \S+ of epoch |Save \w+(?: \w+)? cost time: |successfully a?sync saved checkpoint "
    r"|\.+(?:Starting Training Model|Training Over!)\.+"
    r"|Training completed\. |Epoch \d+ finished\. "
)


def all_is_well(line: str) -> bool:
    """Say whether `line`, with PREFIX or without, tells only that the training goes on, saves or is over."""
    prefix = PREFIX.match(line)
    if prefix is not None and prefix["level"] in {"ERROR", "CRITICAL"}:
        return False
    return _ALL_IS_WELL.match(line, prefix.end() if prefix is not None else 0) is not None
