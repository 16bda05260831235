"""What no process's end is told by."""

import pytest

from handlers.rank_log.chatter import continues_a_record, level, without_chatter


@pytest.mark.parametrize(
    "line",
    (
        "",
        "   \t",
        "----------------------------------------------------",
        "...",
        " 37%|███▋      | 3/8 [00:01<00:02,  2.50it/s]",
        "  0%|          | 0/8 [00:00<?, ?it/s]",
        "100%|##########| 10/10",
        "Loading checkpoint shards: 100%|██████████| 2/2 [00:10<00:00,  5.2s/it]",
        "Map (num_proc=8):  45%|████▌     | 450/1000 [00:01<00:01, 400.00 examples/s]",
        "12it [00:03,  3.90it/s]",
        "Processed: 1200 examples [00:03, 390.00 examples/s]",
        "0it [00:00, ?it/s]",
        "Downloading data: 45.0MB [00:01, 34.1MB/s]",
        "Downloading (…)lve/main/config.json: 100%",
        "Downloading: 12.3%",
        "Downloading 45 % of glm_6b.ckpt",
        "downloaded 37%",
        " 45% [=====>      ] 12,345,678  3.20M/s  eta 12s",
        "[=====>          ]",
        "[                ]",
        "|                                                  |",
        "   ━━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━━━ 12.3/45.6 MB 3.2 MB/s eta 0:00:10",
        "/usr/lib/python3.9/site-packages/numpy/core/getlimits.py:500: UserWarning: The value of the smallest",
        "sys:1: ResourceWarning: unclosed file <_io.TextIOWrapper name='x'>",
        "<frozen importlib._bootstrap>:241: FutureWarning: ufunc size changed",
        "run.py:3: DeprecationWarning: the imp module is deprecated",
        "/usr/lib/python3.9/multiprocessing/resource_tracker.py:216: UserWarning: resource_tracker: 1 leaked semaphore",
        "......Saving ckpt......",
        "  37.5% |█████████                | 6.46 samples/s/p  0:00:06 }",
    ),
)
def test_bars_warnings_and_decoration_are_chatter(line: str) -> None:
    """They say that it goes on, or nothing at all."""
    assert without_chatter(["before", line, "after"]) == ["before", "after"]


def test_a_warning_goes_with_the_code_that_gave_it() -> None:
    """Python prints that below, indented; more than that is not the warning's."""
    lines = [
        "x.py:3: UserWarning: old",
        "  warnings.warn('old')",
        "  not the warning's",
        "x.py:4: UserWarning: new",
        "end",
    ]
    assert without_chatter(lines) == ["  not the warning's", "end"]


@pytest.mark.parametrize("bar", (" 37%|███▋      | 3/8 [00:01<00:02,  2.50it/s]", "12it [00:03,  3.90it/s]"))
def test_what_follows_a_bar_on_its_line_stays(bar: str) -> None:
    """A bar ends no line, and the next thing that is printed may be why the process ends."""
    assert without_chatter([f"{bar}ValueError: no data"]) == ["ValueError: no data"]


@pytest.mark.parametrize(
    "line",
    (
        "ValueError: 37% of the rows are empty",
        "Killed",
        "RuntimeError: Download of glm_6b.ckpt failed",
        "disk 100% full",
        "Error in warnings",
        "[ERROR] DEVICE(12,7f3,python):2026-11-24-04:39:26.767.160 [a.cc:80] Failed",
        "loading",
        "over",
        "all ranks | ready",
        "OSError: [Errno 28] No space left on device",
        "terminate called at [12:30, 4 threads]",
        "  - C++ Call Stack: (For framework developers)",
    ),
)
def test_what_says_something_stays(line: str) -> None:
    """A percent sign or a bar alone makes no line of it."""
    assert without_chatter([line]) == [line]


@pytest.mark.parametrize(
    ("line", "is_part"),
    (
        ("{'data_loader': {'type': 'ADGenDataLoader',", True),
        ("  'train_precision_sync': None,", True),
        (" 'use_parallel': True}", True),
        ('    "a": [1, 2],', True),
        ("_vocab_emb_dp:False", True),
        ("}", True),
        ("KeyError: 'prefix'", False),
        ("terminate called after throwing an instance of 'std::bad_alloc'", False),
        ("[rank0]: terminated", False),
        ("loading", False),
        ("Killed", False),
    ),
)
def test_what_continues_a_record_is_known(line: str, *, is_part: bool) -> None:
    """MindFormers logs its whole configuration, one value a line."""
    assert continues_a_record(line) is is_part


@pytest.mark.parametrize(
    ("line", "grave"),
    (
        ("2026-11-24 09:14:01,100 - mindformers[callback.py:307] - INFO - global_step: 4", "INFO"),
        ("2026-11-24 09:14:01,100 - mindformers[callback.py:307] - WARNING - pipeline stages: 2 > 1", "WARNING"),
        ("2026-11-24 09:14:01,100 - mindformers[callback.py:307] - ERROR - Traceback", "ERROR"),
        (
            "[WARNING] RUNTIME_FRAMEWORK(5639,7efea4658b80,python):2026-11-28-14:57:39.000.046 [a.cc:1] B] Skip",
            "WARNING",
        ),
        ("[INFO] DISTRIBUTED(5639,7efe4bfff6c0,python):2026-11-28-14:57:40.968.378 [a.cc:1] Start] success!", "INFO"),
        ("[ERROR] DISTRIBUTED(5639,7efe4bfff6c0,python):2026-11-28-14:57:40.968.378 [a.cc:1] Start] failed", "ERROR"),
        ("[INFO] starts", "INFO"),
        ("loading", ""),
    ),
)
def test_news_are_told_from_errors(line: str, grave: str) -> None:
    """By the level that MindFormers, MindSpore and CANN write."""
    assert level(line) == grave
