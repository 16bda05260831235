"""What is quoted of a log when its process ended."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from handlers.rank_log.last_words import LONGEST, last_line, last_words


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return where a rank's log goes."""
    return tmp_path / "mindformer.log"


def say(log: Path, text: str) -> str:
    """Let a rank print `text`, and return its last words."""
    log.write_text(textwrap.dedent(text))
    return last_words(log)


def test_exception_of_a_traceback(log: Path) -> None:
    """The exception counts, not the frames before it nor what MindSpore prints after it."""
    assert (
        say(
            log,
            """\
            2026-11-24 09:14:01,100 - mindformers[callback.py:307] - INFO - .........Build Net..........
            Traceback (most recent call last):
              File "run_mindformer.py", line 10, in <module>
                main(config)
            RuntimeError: Memory not enough, the free memory size is less than the request one.

            ----------------------------------------------------
            - C++ Call Stack: (For framework developers)
            ----------------------------------------------------
            mindspore/ccsrc/runtime/graph_scheduler/actor/memory_manager_actor.cc:123 AllocateMemory

            """,
        )
        == "RuntimeError: Memory not enough, the free memory size is less than the request one."
    )


def test_last_of_chained_tracebacks(log: Path) -> None:
    """What was raised last is what ended the process."""
    assert (
        say(
            log,
            """\
            Traceback (most recent call last):
              File "a.py", line 1, in <module>
            KeyError: 'prefix'

            During handling of the above exception, another exception occurred:

            Traceback (most recent call last):
              File "a.py", line 3, in <module>
            ValueError: no prefix
            """,
        )
        == "ValueError: no prefix"
    )


def test_traceback_that_a_logger_printed(log: Path) -> None:
    """MindFormers logs the traceback of what ends it behind its own prefix."""
    text = """\
        2026-11-24 09:14:01 - mindformers[cloud_monitor.py:43] - ERROR - Traceback (most recent call last):
          File "cloud_monitor.py", line 34, in wrapper
        ValueError: if run status is finetune, load_checkpoint must be input

        """
    assert say(log, text) == "ValueError: if run status is finetune, load_checkpoint must be input"


def test_ascend_error_is_told_with_the_exception(log: Path) -> None:
    """`Call hccl fail` alone says nothing; CANN's own error does."""
    text = """\
        Traceback (most recent call last):
          File "run_mindformer.py", line 10, in <module>
        RuntimeError: Ascend kernel runtime initialization failed.

        ----------------------------------------------------
        - Ascend Error Message:
        ----------------------------------------------------
        EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.
        """
    assert say(log, text) == (
        "RuntimeError: Ascend kernel runtime initialization failed. "
        "(EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.)"
    )


def test_cause_among_the_log_lines_is_told_with_the_exception(log: Path) -> None:
    """A port in use is what the user can do something about; MindSpore's exception does not mention it."""
    text = """\
        [ERROR] DISTRIBUTED(9294,7fad5e472b80,python):2026-11-24-04:39:26.767.160 [mindspore/ccsrc/a.cc:349] Listen] \
Failed to call bind, url: 127.0.0.1:45923 Address already in use
        [ERROR] DISTRIBUTED(9294,7fad5e472b80,python):2026-11-24-04:39:26.767.300 [mindspore/ccsrc/b.cc:60] Init] \
Failed to initialize cluster.
        Traceback (most recent call last):
          File "<string>", line 1, in <module>
        RuntimeError: Failed to initialize distributed training.
        """
    assert say(log, text) == (
        "RuntimeError: Failed to initialize distributed training. "
        "(Failed to call bind, url: 127.0.0.1:45923 Address already in use)"
    )


def test_error_line_without_traceback(log: Path) -> None:
    """An error counts more than what is printed after it."""
    text = """\
        [INFO] starts
        [ERROR] DISTRIBUTED(12,7f3,python):2026-11-24-04:39:26.767.160 [mindspore/tcp.cc:80] Failed to bind, errno: 98.
        goodbye
        """
    assert say(log, text) == "Failed to bind, errno: 98."


def test_last_line_when_nothing_looks_like_an_error(log: Path) -> None:
    """Blank lines are passed over."""
    assert say(log, "one\ntwo\n\n   \n") == "two"


def test_nothing_was_said(log: Path) -> None:
    """A missing or empty log has no last words."""
    assert last_words(log) == ""
    log.touch()
    assert last_words(log) == ""
    assert last_line(log) == ""


def test_long_lines_are_cut(log: Path) -> None:
    """A reason stays readable."""
    words = say(log, "Error " + "x" * 5000)
    assert len(words) == LONGEST
    assert words.startswith("Error x")
    assert words.endswith("…")


def test_control_characters_do_not_pass(log: Path) -> None:
    """What a rank prints cannot play with the terminal of who reads the reason."""
    assert say(log, "\x1b[31mError: \x1b]0;owned\x07red\x1b[0m\x07\n") == "Error: red"


def test_last_line_ignores_old_errors(log: Path) -> None:
    """For a process that hangs the last line counts, whatever went before."""
    log.write_text("ValueError: caught long ago\nsaving\n")
    assert last_line(log) == "saving"


STEP = "2026-11-24 09:14:01,100 - mindformers[callback.py:312] - INFO - { Epoch:[  1/  2], step:[    3/    4], \
loss:[11.770/11.776], per_step_time: 1237ms, overflow cond: False, loss_scale: 65536.0"
BAR = "2026-11-24 09:14:01,101 - mindformers[callback.py:317] - INFO -   37.5% |█████     | 6.46 samples/s/p  0:00:06 }"
SAVES = "2026-11-24 09:14:01,102 - mindformers[callback.py:553] - INFO - ......Saving ckpt......"
SAVED = (
    "2026-11-24 09:14:02,100 - mindformers[callback.py:1639] - INFO - Finish saving ckpt of epoch 1 step 3 using 0 s"
)
NEWEST_STEP = "{ step:[    1/   10], loss: 11.800000, per_step_time: 37ms }"
STARTS = (
    "2026-11-24 09:14:01,100 - mindformers[base_trainer.py:656] - INFO - .........Starting Training Model.........."
)
NEWS = "2026-11-24 09:14:01,103 - mindformers[callback.py:1786] - INFO - global_step: 4"

BUILDS = NEWS.replace("global_step: 4", "..Build Net..")

LOGGER_OF_1_9 = "2026-11-28 14:52:14,277 - mindformers/data/t8/output/log[mindformers/checkpoint/checkpoint.py:290] - "
IN_1_9 = tuple(
    # What every rank logged of a save in the new format; only rank 0 says that it has synced it.
    LOGGER_OF_1_9 + line
    for line in (
        "INFO - { Epoch:[  1/  2], step:[    4/    4], loss:[6.130380/6.211369], per_step_time: 55ms, lr: 0.000725",
        "INFO - .........Get All Ranks' Strategy Metadata.........",
        "INFO - ....... Start to save checkpoint as new format .......",
        "WARNING - ....... Start to save optimizer weight .......",
        "INFO - Wait All ranks for sync save checkpoint.",
        "INFO - Save checkpoint cost time: 0.648s.",
    )
)


@pytest.mark.parametrize("ask", (last_words, last_line))
@pytest.mark.parametrize(
    ("lines", "words"),
    (
        (IN_1_9, "after step 4/4 of epoch 1/2"),
        (IN_1_9[:-1], "while saving, after step 4/4 of epoch 1/2"),
        ((STEP,), "after step 3/4 of epoch 1/2"),
        ((STEP, BAR), "after step 3/4 of epoch 1/2"),
        ((STEP, BAR, SAVES), "while saving, after step 3/4 of epoch 1/2"),
        ((STEP, BAR, SAVES, SAVED), "after step 3/4 of epoch 1/2"),
        ((STEP, BAR, SAVES, NEWS, "....Training Over!....."), "after step 3/4 of epoch 1/2"),
        (
            (STEP, BAR, SAVES, NEWS, "[INFO] DISTRIBUTED(5,7f,python):2026 [a.cc:1] Start] success!"),
            "while saving, after",
        ),
        ((STEP, BAR, SAVES, STEP.replace("    3/", "    4/"), BAR), "after step 4/4 of epoch 1/2"),
        ((STEP, "{ Epoch:[  1/  2], step:[    4/    4], lo"), "after step 3/4 of epoch 1/2"),
        ((NEWEST_STEP,), "after step 1/10"),
        ((STARTS, " 37%|███▋      | 3/8 [00:01<00:02,  2.50it/s]"), "while compiling or in the first step"),
        (("builds", STARTS), "while compiling or in the first step"),
        (("Downloading 45 % of glm_6b.ckpt", " "), "while loading"),
        ((BUILDS, "Downloading: 45%"), "..Build Net.."),
        (
            (BUILDS, "{'seed': 42,", "  'use_parallel': True}", "swap:[ParallelConfig]", '    "params": ['),
            "..Build Net..",
        ),
        ((BUILDS, BUILDS.replace("INFO - ..Build Net..", "WARNING - deprecated")), "..Build Net.."),
        (("{'seed': 42,", " 'use_parallel': True}"), "while loading"),
        ((STEP, BAR, "writes the profile"), "writes the profile"),
        ((STEP, BAR, "writes the profile", SAVES), "writes the profile"),
        ((STEP, BAR, "x.py:3: UserWarning: old", "  warnings.warn('old')"), "after step 3/4 of epoch 1/2"),
    ),
)
def test_progress_is_nobodys_last_word(
    log: Path, ask: Callable[[Path], str], lines: tuple[str, ...], words: str
) -> None:
    """Where nothing else was said since the last step, how far the training was is told."""
    log.write_text("\n".join(lines))
    assert ask(log).startswith(words)


def test_what_was_survived_is_not_told(log: Path) -> None:
    """An exception before the last step did not end the process."""
    survived = ("Traceback (most recent call last):", '  File "a.py", line 1, in <module>', "KeyError: 'prefix'")
    log.write_text("\n".join((*survived, "[ERROR] DEVICE(1,2,python):2026 [a.cc:1] A] Failed", STEP, BAR)))
    assert last_words(log) == "after step 3/4 of epoch 1/2"
    log.write_text("\n".join((STEP, BAR, *survived, BAR)))
    assert last_words(log) == "KeyError: 'prefix'"


def test_traceback_behind_a_bar(log: Path) -> None:
    """A bar ends no line: the traceback stands behind it."""
    text = """\
         37%|███▋      | 3/8 [00:01<00:02,  2.50it/s]Traceback (most recent call last):
          File "a.py", line 1, in <module>
        ValueError: no data
        """
    assert say(log, text) == "ValueError: no data"


@pytest.mark.parametrize(
    "code",
    (
        "EI0006: [PID: 176930] 2025-07-01-00:40:04.135.732 Getting socket times out.",
        "[PID: 1] 2025-12-04-21:59:08.232.310 Execution_Error_ROCE_CQE(EI0013): An error CQE occurred.",
        "E40021: Failed to compile Op [MatMul].",
        "EQ1234: something new",
    ),
)
def test_code_of_cann_is_told_rather_than_its_inner_error(log: Path, code: str) -> None:
    """`Inner Error!` follows each failure of a device, and says nothing."""
    text = f"""\
        Traceback (most recent call last):
          File "run_mindformer.py", line 10, in <module>
        RuntimeError: Call hccl fail
        {code}
        EE9999: Inner Error!
        """
    assert say(log, text) == f"RuntimeError: Call hccl fail ({code})"
    assert say(log, "EZ9999: Inner Error!\ngoodbye\n") == "EZ9999: Inner Error!"
