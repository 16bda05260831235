"""What a log's errors are known to mean."""

from pathlib import Path

import pytest

from handlers.rank_log.known_errors import KNOWN_ERRORS, SIGNALS, find, known_error_in

SAMPLES = {
    "EI0001": "EI0001: 2024-04-20-10:42:34.020.677 Environment variable [HCCL_EXEC_TIMEOUT] is invalid.",
    "EI0003": "EI0003: In [HcomGetRankSize], value [9] for parameter [rankSize] is invalid.",
    "EI0004": "EI0004: The ranktable is invalid, Reason: [The rankId is not in order].",
    "EI0005": "EI0005: The arguments for collective communication are inconsistent between ranks.",
    "EI0007": "EI0007: Failed to allocate resource [stream].",
    "EI0008": "EI0008: The HCCL version of rank 0 differs from that of rank 8.",
    "EI0011": "EI0011: Insufficient device memory.",
    "EI0014": "EI0014: [PID: 7277] 2024-11-28-11:59:30.645.648 The ranktable is inconsistent.",
    "EJ0001": "EJ0001: Failed to initialize the HCCP process. Reason: Maybe the last training process is running.",
    "device memory": "#umsg#Memory not enough:#umsg#Device(id:0) memory isn't enough and alloc failed, kernel: MatMul",
    "host memory": "OSError: [Errno 12] Cannot allocate memory",
    "port in use": "Failed to call bind, url: 127.0.0.1:45923 Address already in use",
    "disk full": "OSError: [Errno 28] No space left on device: 'glm-6b_rank_0-31_4.ckpt'",
    "missing module": "ModuleNotFoundError: No module named 'mindpet'",
    "missing file": "FileNotFoundError: [Errno 2] No such file or directory: '/data/train.json'",
    "strategy": "ValueError: MatMulInfo: Invalid strategy. shape 10 cannot be divisible by strategy value 8",
    "weights do not fit": "RuntimeError: For 'load_param_into_net', lm_head.weight in the argument 'net' should have "
    "the same shape as lm_head.weight in the argument 'parameter_dict'.",
    "no data": "E39999: Inner Error! [FUNC:GetNext] time out",
    "Python error": "yaml.scanner.ScannerError: mapping values are not allowed here",
    "EI0002": "EI0002: The wait execution of the Notify register times out. Reason: not received from remote rank [3].",
    "EI0006": "EI0006: [PID: 176930] 2025-07-01-00:40:04.135.732 Getting socket times out.",
    "EI0009": "EI0009: Transport init error.",
    "EI0015": "EI0015: Failed to connect agent[1,3,5,7,]",
    "HCCL time-out": "wait socket establish timeout, role[0] rank[1] timeout[120]",
    "lost peer": "[ERROR] [gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:50262",
    "MindSpore error": "RuntimeError: Ascend kernel runtime initialization failed.",
}
"""Behind a code of CANN's the wording is often ours: the code is what is recognized."""


def name_of(*lines: str) -> str | None:
    """Return what the error in `lines` is called."""
    found = find(lines)
    return found.error.name if found else None


@pytest.mark.parametrize(("name", "line"), SAMPLES.items())
def test_each_error_is_known_by_its_line(name: str, line: str) -> None:
    """The line alone suffices, and among others."""
    assert name_of("starts", line, "goodbye") == name


def test_table_has_no_error_without_a_sample() -> None:
    """A pattern that nothing was held against may match nothing."""
    assert [error.name for error in KNOWN_ERRORS] == list(SAMPLES)


def test_ordinary_lines_are_no_error() -> None:
    """What a training prints while all is well is not in the table."""
    assert (
        name_of(
            "2026-11-24 09:14:01,100 - mindformers[callback.py:307] - INFO - .........Build Net..........",
            "[WARNING] DEVICE(9294): the Error rate is 0",
            "Error",
            "Error: no data",
        )
        is None
    )


def test_a_cause_counts_before_an_echo_wherever_it_stands() -> None:
    """A rank that fails takes its connections along: its own log shows the broken ones, too."""
    assert name_of(SAMPLES["disk full"], SAMPLES["EI0006"]) == "disk full"
    assert name_of(SAMPLES["EI0006"], SAMPLES["Python error"]) == "Python error"


def test_mindspores_exception_around_an_echo_is_an_echo() -> None:
    """`RuntimeError` alone says nothing; the code that it was raised for does."""
    assert name_of("Traceback (most recent call last):", SAMPLES["MindSpore error"], SAMPLES["EI0006"]) == "EI0006"


def test_what_was_survived_does_not_count(tmp_path: Path) -> None:
    """An error before the last step did not end the training."""
    log = tmp_path / "mindformer.log"
    step = "{ Epoch:[  1/  2], step:[    3/    4], loss:[11.770/11.776], per_step_time: 1237ms, overflow cond: False"
    log.write_text(f"{SAMPLES['missing file']}\n{step}\nEI0002: The wait execution\n")
    found = known_error_in(log)
    assert found is not None
    assert found.error.name == "EI0002"
    log.write_text(f"{SAMPLES['missing file']}\n{step}\n")
    assert known_error_in(log) is None
    assert known_error_in(tmp_path / "none.log") is None


def test_time_is_that_of_the_line_or_of_the_last_before() -> None:
    """MindFormers, MindSpore and CANN write the time in three ways; a traceback has none of its own."""
    lines = (
        "2026-11-24 09:14:01,100 - mindformers - INFO - starts",
        "[ERROR] DISTRIBUTED(12,7f3,python):2026-11-24-04:39:26.767.160 [mindspore/tcp.cc:80] Failed",
        "ModuleNotFoundError: No module named 'mindpet'",
    )
    said = [found.said if (found := find(part)) else None for part in (lines, lines[0::2], lines[2:])]
    assert said == ["2026-11-24 04:39:26.767", "2026-11-24 09:14:01.100", ""]


def test_troubleshooting_has_the_table() -> None:
    """docs/troubleshooting.md says what the code says, error for error, and in its order."""
    text = (Path(__file__).parents[4] / "docs" / "troubleshooting.md").read_text()
    rows = [f"| {error.name} | {error.cause} | {error.remedy} |" for error in (*KNOWN_ERRORS, *SIGNALS)]
    assert "\n".join(rows) in text
