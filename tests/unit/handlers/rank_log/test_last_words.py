"""What is quoted of a log when its process ended."""

import textwrap
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
