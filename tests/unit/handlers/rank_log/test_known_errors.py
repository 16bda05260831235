"""What a log's errors are known to mean."""

import re
from pathlib import Path

import pytest

from handlers.rank_log.advice import filled_in
from handlers.rank_log.error_kinds import code_of
from handlers.rank_log.known_errors import KNOWN_ERRORS, SIGNALS, find, known_error_in

SAMPLES = {
    "EI0001": "EI0001: 2024-04-20-10:42:34.020.677 Environment variable [HCCL_EXEC_TIMEOUT] is invalid.",
    "EI0003": "EI0003: In [HcomGetRankSize], value [9] for parameter [rankSize] is invalid.",
    "EI0004": "EI0004: The ranktable is invalid, Reason: [The rankId is not in order].",
    "EI0005": "EI0005: The arguments for collective communication are inconsistent between ranks.",
    "EI0007": "EI0007: Failed to allocate resource [stream].",
    "EI0008": "EI0008: The HCCL version of rank 0 differs from that of rank 8.",
    "EI0010": "EI0010: P2P communication failed. Reason: the link is broken",
    "EI0011": "EI0011: Insufficient device memory.",
    "EI0014": "EI0014: [PID: 7277] 2024-11-28-11:59:30.645.648 The ranktable is inconsistent.",
    "EJ0001": "EJ0001: Failed to initialize the HCCP process. Reason: Maybe the last training process is running.",
    "EJ0002": "RuntimeError: EJ0002: [PID: 38079] 2025-07-15-12:45:31.202.787 The network port is down.",
    "EJ0004": "EJ0004: [PID: 1609] 2023-10-19-12:33:13.313.594 Check ip fail.",
    "EL0002": "EL0002: The device ID is invalid.",
    "EL0003": "EL0003: [PID: 528886] 2025-06-24-11:20:41.662.506 The argument is invalid.",
    "EL0005": "EL0005: The resources are busy.",
    "EC0010": "EC0010: 2025-04-16-13:15:44.018.468 Failed to import Python module [ModuleNotFoundError: No attr].",
    "EL0001": "[PID: 389] 2026-05-01-10:59:14.702.326 Device_Absent/Abnormal(EL0001): Device not found or invalid.",
    "device memory fault": "rtStreamSynchronize execute failed, reason=[hbm Multi-bit ECC error]",
    "operator failed on device": "The error from device(chipId:4, dieId:0), there is an aivec error "
    "exception, core id is 11, error code = 0x10",
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
    "EE1001": "EE1001: The argument is invalid.Reason: Set device failed, invalid device=9, input visible devices:8",
    "EL…": "EL0015: Invalid device access.",
    "EJ…": "EJ0020: something new",
    "E1…": "E10035: The [--dynamic_dims] argument has [1] profiles, which is less than the minimum [2].",
    "E2…": "E20101: Value [x] for parameter [y] is invalid.",
    "E3…": "E30003: Failed to open the kernel.",
    "E4…, EB…": "E40021: Failed to compile Op [MatMul].",
    "E5…, E6…, E7…, E8…, E9…, EA…, EZ…": "EZ3003: No supported Ops kernel and engine are found for [x], optype [Foo].",
    "EC…, ED…, EF…, EG…": "EC0005: GATune run Failed.",
    "EH…": "EH0001: Value [x] for [y] is invalid.",
    "EK…, EM…, EN…, EO…, EP…": "EK0001: Value [x] for [--aic-metrics] is invalid.",
    "Python error": "yaml.scanner.ScannerError: mapping values are not allowed here",
    "EI0002": "EI0002: The wait execution of the Notify register times out. Reason: not received from remote rank [3].",
    "EI0006": "EI0006: [PID: 176930] 2025-07-01-00:40:04.135.732 Getting socket times out.",
    "EI0009": "EI0009: Transport init error.",
    "EI0013": "[PID: 3448331] 2025-12-04-21:59:08.232.310 Execution Error ROCE CQE(EI0013): An error CQE occurred.",
    "EI0015": "EI0015: Failed to connect agent[1,3,5,7,]",
    "EE1002": "EE1002: [PID: 7] 2025-11-24-04:39:26.767.160 Stream synchronize timeout. stream_id=3",
    "EI…": "EI0099: something new",
    "EE…": "EE2002: something new",
    "HCCL time-out": "wait socket establish timeout, role[0] rank[1] timeout[120]",
    "scheduler not reached": "RuntimeError: Failed to initialize distributed job cluster because some processes in the "
    "cluster are not successfully spawned. You can run command: …",
    "lost peer": "[ERROR] [gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:50262",
    "another code of CANN": "EQ1234: something new",
    "return code of CANN": "[ERROR] ASCENDCL(1,python):2026-11-18-09:33:13.673.913 open device, result = 507033.",
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
    """A pattern that nothing was held against may match nothing. They are in the order of the table."""
    assert [error.name for error in KNOWN_ERRORS] == list(SAMPLES)


def test_each_error_has_a_code() -> None:
    """Programs know it by that; without one glmd could not record how the training ended."""
    assert {error.code.partition(".")[0] for error in (*KNOWN_ERRORS, *SIGNALS)} == {"rank"}
    with pytest.raises(ValueError, match=r"'no such' has no code: add 'rank.no-such' to handlers/codes\.py"):
        code_of("no such")


@pytest.mark.parametrize(
    ("line", "name"),
    (
        ("EI0017: the rank table is wrong", "EI0014"),
        ("E40020: Failed to import Python module [tbe]", "EC0010"),
        (
            "EJ0003: [PID: 159] Failed to bind the IP port. Reason: The IP address and port have been bound.",
            "port in use",
        ),
        ("[check][ip]fail, ret(-16) the IP address(29.4.84.36) in the ranktable is inconsistent with the IP", "EJ0004"),
        ("Device[1] lost heartbeat.[FUNC:SyncTask][FILE:direct_hwts_engine.cc][LINE:407]", "EL0001"),
        ("wait for compute device to finish failed, runtime result = 507010.[FUNC:ReportCallError]", "EL0001"),
        ("there is aicore error, core id is 20, mte ccu ecc 1bit error: 0x1000", "operator failed on device"),
        ("Aicore kernel execute failed, device_id=4, stream_id=450", "operator failed on device"),
        ("RuntimeError: ACL stream synchronize failed, error code:507015", "operator failed on device"),
        ("NPU function error: HBM MULTI BIT ECC ERROR., error code is 507054", "device memory fault"),
        ("aclrtMalloc failed, ret: 207001", "device memory"),
        ("rtSetDevice execute failed, reason=[device id error]", "EE1001"),
        (
            "(EE1001): The argument is invalid.Reason: rtGetDevMsg execution failed, the context is a null pointer",
            "EE1001",
        ),
        ("synchronize stream with timeout failed, runtime result = 507046", "EE1002"),
        ("synchronize stream failed, runtime result = 507048[FUNC:ReportCallError]", "return code of CANN"),
        ("RuntimeError: The total number of timed out node is 1. Timed out node list is: {1}", "lost peer"),
        ("[ERROR] DISTRIBUTED(3,7f,python):2026 [a.cc:548] U] The node: 1 is timed out.", "lost peer"),
        ("RuntimeError: The state of the cluster is error, total nodes num: 2, abnormal nodes num: 1", "lost peer"),
    ),
)
def test_the_same_error_in_other_words(line: str, name: str) -> None:
    """Versions of CANN give other codes, or none; the lines are of public reports."""
    assert name_of(line) == name


FAMILIES = {
    "1": "E1…", "2": "E2…", "3": "E3…", "4": "E4…, EB…", "B": "E4…, EB…", "E": "EE…", "H": "EH…", "I": "EI…",
    "J": "EJ…",
    "L": "EL…", "C": "EC…, ED…, EF…, EG…", "G": "EC…, ED…, EF…, EG…", "K": "EK…, EM…, EN…, EO…, EP…",
    "5": "E5…, E6…, E7…, E8…, E9…, EA…, EZ…", "Z": "E5…, E6…, E7…, E8…, E9…, EA…, EZ…", "Q": "another code of CANN",
    "0": "another code of CANN",
}  # fmt: skip


@pytest.mark.parametrize(("letter", "name"), FAMILIES.items())
@pytest.mark.parametrize("number", ("8765", "9998"))
@pytest.mark.parametrize(
    "line",
    (
        "{}: Inner Error!",
        "{}: [PID: 1] 2026-11-24-04:39:26.767.160 something",
        "{}[PID: 41421] 2026-11-24-04:39:26.767.160: something",
        "{} [PID: 7] something",
        "{} Inner Error!",
        "RuntimeError: {}: something",
        "[PID: 1] 2026-11-24-04:39:26.767.160 Some_Title({}): something",
        "#umsg#Ascend Error Message:#umsg#{}: something",
        "错误码{}：设备异常",
    ),
)
def test_each_family_has_a_word_for_a_number_that_is_not_known(letter: str, name: str, number: str, line: str) -> None:
    """The component is told by the second character, in all forms that CANN prints a code in."""
    assert name_of("starts", line.format(f"E{letter}{number}"), "goodbye") == name


@pytest.mark.parametrize(
    "line",
    (
        "E501: Line too long (128 > 120)",
        "EI1234567: a part number",
        "SEI0042: another's code",
        "/data/EI0042: a directory",
        "v1.EI0042: a version",
        "0xEE1234: an address",
        "ei0042: a name",
        "E1101: Instance has no member",
        "EI00: cut",
        "the model EQ1234 was loaded",
        "module_name=EE8888",
        "W40010: the path is wrong",
        "WF0000: Open config file failed",
        "I10001: for your information",
        "batch E12345 of 20000",
        "loss 507015, step 507015",
        "507015 samples",
    ),
)
def test_what_is_no_code_is_not_taken_for_one(line: str) -> None:
    """Warnings end no training, and six characters are no more and no less."""
    assert name_of(line) is None


def test_a_code_counts_before_its_family() -> None:
    """Wherever they stand."""
    for name in ("EI0004", "EI0006", "EE1002", "EJ0001", "EL0005", "EC0010"):
        family = f"{name[:2]}0777: something new"
        assert name_of(family, SAMPLES[name]) == name_of(SAMPLES[name], family) == name


@pytest.mark.parametrize("inner", ("E19999", "EE9999", "EH9999", "EI9999", "EJ9999", "EL9999", "EZ9999"))
def test_inner_errors_count_last(inner: str) -> None:
    """CANN gives them for whatever happens, so that an echo stays one and a cause is told."""
    for name in ("EI0002", "EI0006", "EE1002", "lost peer", "EJ…", "EI…", "disk full", "Python error"):
        assert name_of(SAMPLES[name], f"{inner}: Inner Error!") == name
    assert name_of(f"{inner}: Inner Error!", SAMPLES["MindSpore error"]) not in {None, "MindSpore error"}


@pytest.mark.parametrize("family", ("EL…", "EJ…", "E4…, EB…", "EH…"))
def test_a_family_is_a_cause_unless_it_speaks_for_others(family: str) -> None:
    """HCCL and the runtime say what came of another rank's failure; the others do not."""
    assert name_of(SAMPLES[family], SAMPLES["EI0006"]) == name_of(SAMPLES["EI0006"], SAMPLES[family]) == family
    assert not any(error.is_echo for error in KNOWN_ERRORS if "…" in error.name)


def test_what_came_of_another_error_does_not_hide_it() -> None:
    """The runtime refuses calls once the device is lost, or a peer is: that says nothing of the cause."""
    followed = "(EE1001): The argument is invalid.Reason: rtGetDevMsg execution failed, the context is a null pointer"
    assert name_of(SAMPLES["EI0006"], followed) == "EI0006"
    assert name_of(SAMPLES["EL0001"], followed) == "EL0001"
    assert name_of(SAMPLES["EI0006"], SAMPLES["EE1001"]) == "EE1001"


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
    said = [found.when if (found := find(part)) else None for part in (lines, lines[0::2], lines[2:])]
    assert said == ["2026-11-24 04:39:26.767", "2026-11-24 09:14:01.100", ""]


def test_letters_of_remedies() -> None:
    """N, R and D stand for numbers, and only where they are filled in: in commands of glmd and hccn_tool."""
    for error in (*KNOWN_ERRORS, *SIGNALS):
        filled = filled_in(error.remedy, job=42, rank=1, device=5)
        assert not re.search(r"\b[A-Z]\b", filled), filled
        assert not re.search(r"\b[A-Z]\b", error.cause), error.cause


def test_troubleshooting_has_the_table() -> None:
    """docs/troubleshooting.md says what the code says, error for error, and in its order."""
    text = (Path(__file__).parents[4] / "docs" / "troubleshooting.md").read_text()
    rows = [f"| {error.name} | {error.cause} | {error.remedy} |" for error in (*KNOWN_ERRORS, *SIGNALS)]
    assert [row for row in rows if row not in text] == [], "add these rows"
    assert "\n".join(rows) in text, "the rows have another order than KNOWN_ERRORS"
