"""The errors that trainings on Ascend servers are known to end with: what each means, and what to do about it.

The sources: Huawei's HCCL guide for EI0001, EI0002, EI0006 and EI0015, the fault table of MindSpore's troubleshooter
for EI0004, EJ0001, E39999 and device memory, the strings in MindSpore 2.0's own libraries for strategies, memory and
lost peers. Of the other codes only the titles in hiascend.com's list "HCCL Errors" were read, and the advice is ours.
None was provoked on a real card.
docs/troubleshooting.md has the same table; a test holds the two together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.rank_log.progress import after_last_step
from handlers.rank_log.tail import tail


@dataclass(frozen=True)
class KnownError:
    """One kind of error."""

    name: str
    pattern: re.Pattern[str]
    """Found in a line of the log of a rank that has it."""
    cause: str
    remedy: str
    may_pass: bool | None = None
    """Whether the same training may do better when it is simply begun again; None where that depends."""
    is_echo: bool = False
    """Whether a rank says so when *another* one is late or lost: then it is not where to look."""


@dataclass(frozen=True)
class Finding:
    """A known error in a log."""

    error: KnownError
    line: str
    said: str
    """When, as `2026-11-24 09:14:07.100` in the host's time; empty where the log does not tell."""


def _code(name: str, cause: str, remedy: str, *, may_pass: bool | None = None, is_echo: bool = False) -> KnownError:
    """Describe an error with a code of CANN's, which is printed as `EI0006: …` or `EI0006 …`."""
    return KnownError(name, re.compile(rf"\b{name}\b"), cause, remedy, may_pass, is_echo)


def _text(
    name: str, pattern: str, cause: str, remedy: str, *, may_pass: bool | None = None, is_echo: bool = False
) -> KnownError:
    return KnownError(name, re.compile(pattern), cause, remedy, may_pass, is_echo)


KNOWN_ERRORS = (
    _code(
        "EI0001",
        "a variable of HCCL's in the environment has a value out of its range",
        "correct the HCCL_… variable that the line names in `training.environment`",
        may_pass=False,
    ),
    _code(
        "EI0003",
        "an argument of a collective operation is wrong, often RANK_ID or RANK_SIZE against the rank table",
        "remove what sets RANK_… or DEVICE_ID in `training.environment`",
        may_pass=False,
    ),
    _code(
        "EI0004",
        "HCCL takes the rank table for illegal",
        "`glmd rank-table check FILE` says which rule it breaks",
        may_pass=False,
    ),
    _code(
        "EI0005",
        "ranks call a collective operation with different arguments",
        "give all ranks the same configuration, data and MindFormers checkout",
        may_pass=False,
    ),
    _code(
        "EI0007",
        "HCCL could not allocate a resource, mostly memory of the device",
        "see that `npu-smi info` shows no other process on the device; then a smaller batch",
        may_pass=True,
    ),
    _code(
        "EI0008",
        "the servers have different CANN versions",
        "install the same CANN on all of them",
        may_pass=False,
    ),
    _code(
        "EI0011",
        "the device's memory is used up, and HCCL wants its buffers",
        "a smaller batch_size, or a lower max_device_memory in the YAML's context",
    ),
    _code(
        "EI0014",
        "the rank table differs between ranks or contradicts the devices that are there",
        "give every server the same file: `glmd rank-table check FILE`, `glmd rank-table merge FILES`",
        may_pass=False,
    ),
    _code(
        "EJ0001",
        "the device's communication process (HCCP) is up already: an earlier training still holds the device",
        "look for its processes with `npu-smi info` and end those by pid; then `glmd retry N`",
        may_pass=True,
    ),
    _text(
        "device memory",
        r"\bEL0004\b|[Mm]emory not enough|[Mm]emory isn't enough|Allocate continuous memory failed"
        r"|Malloc device memory failed|NPU out of memory",
        "the device has too little memory for this model and batch, or another process holds some of it",
        "a smaller batch_size or seq_length, recompute, more model_parallel; `npu-smi info` shows other processes",
    ),
    _text(
        "host memory",
        r"Cannot allocate memory|^MemoryError\b|std::bad_alloc",
        "the host has no memory left, or a limit of the unit or container is reached",
        "fewer ranks or data workers, or more memory; `free -g` while it loads",
        may_pass=True,
    ),
    _text(
        "port in use",
        r"[Aa]ddress already in use|\bEI0019\b|\bEI0020\b",
        "another program holds a port: 16666 on a device, 60000 to 60015 on the host, or the CPU scheduler's",
        "find it with `ss -ltnp`, then `glmd retry N`",
        may_pass=True,
    ),
    _text(
        "disk full",
        r"No space left on device|Disk quota exceeded",
        "a disk or quota is full, where the ranks write",
        "free space below the job's `output` or raise the quota, lower keep_checkpoint_max, then `glmd retry N`",
        may_pass=False,
    ),
    _text(
        "missing module",
        r"^(?:ModuleNotFoundError|ImportError)\b",
        "the training interpreter lacks a package, or has a version that does not fit",
        "install it into the interpreter that `training.python` names, or name another one",
        may_pass=False,
    ),
    _text(
        "missing file",
        r"^FileNotFoundError\b",
        "a file or directory that the YAML names is not there for the user who trains",
        "correct the path, or the permissions of the directories on the way",
        may_pass=False,
    ),
    _text(
        "strategy",
        r"[Ii]nvalid strategy|cannot be divisible by strategy",
        "the parallel strategy does not divide a dimension of the model",
        "choose model_parallel so that it divides heads, vocabulary and hidden size",
        may_pass=False,
    ),
    _text(
        "weights do not fit",
        r"load_param_into_net.{0,400}same (?:shape|type)",
        "load_checkpoint is of another model, or of another cut of this one",
        "compare the two: `glmd inspect FILE`; give whole weights, or shards of the same strategy",
        may_pass=False,
    ),
    _text(
        "no data",
        r"\bE39999\b|GetNext.{0,200}time ?out",
        "the data set did not come as fast as the device wanted it",
        "look at the data's storage and at num_parallel_workers; a smaller batch",
        may_pass=True,
    ),
    _text(
        "Python error",
        r"^(?!(?:RuntimeError|ConnectionError|ConnectionResetError|TimeoutError)\b)(?:\w+\.)*\w+(?:Error|Exception)(?::|$)",
        "the training's Python code raised it: mostly a value in the YAML, or the data",
        "read its traceback: `glmd logs N --rank R`",
    ),
    _code(
        "EI0002",
        "waited in vain for another rank (notify time-out): it is gone, or slow, as in a long save",
        "look at the rank that fell silent first; if it was at work, raise HCCL_EXEC_TIMEOUT in `training.environment`",
        may_pass=True,
        is_echo=True,
    ),
    _code(
        "EI0006",
        "another rank did not open its connection in time (socket time-out): it is gone, or slow to load",
        "look at the rank that fell silent first; if it was at work, raise HCCL_CONNECT_TIMEOUT in "
        "`training.environment`",
        may_pass=True,
        is_echo=True,
    ),
    _code(
        "EI0009",
        "the connection to another rank could not be set up",
        "look at the rank that fell silent first; then at the links: `hccn_tool -i N -link -g`",
        may_pass=True,
        is_echo=True,
    ),
    _code(
        "EI0015",
        "not all ranks came to the meeting",
        "look at the rank that never connected; then at firewall and addresses",
        may_pass=True,
        is_echo=True,
    ),
    _text(
        "HCCL time-out",
        r"wait socket establish timeout|[Nn]otify.{0,200}time(?:s|d)? ?out|event wait timeout",
        "a collective operation waited in vain for another rank",
        "look at the rank that fell silent first; if it was at work, raise HCCL_EXEC_TIMEOUT in `training.environment`",
        may_pass=True,
        is_echo=True,
    ),
    _text(
        "lost peer",
        r"Connection (?:closed|reset) by peer|Failed to (?:receive|send) (?:data|message) (?:from|to) rank"
        r"|[Ss]end heartbeat timeout|Failed to send heartbeat message|[Bb]roken pipe",
        "the connection to another rank or to the scheduler broke: that one is gone",
        "look at the rank that ended first",
        may_pass=True,
        is_echo=True,
    ),
    _text(
        "MindSpore error",
        r"^(?:RuntimeError|ConnectionError|ConnectionResetError|TimeoutError)\b",
        "MindSpore or CANN gave up",
        "read what it printed around: `glmd logs N --rank R`; CANN's own logs are in ~/ascend/log",
    ),
)
"""Where a log shows several, the first of these counts: a cause before an echo, and what is general last."""

SIGNALS = (
    KnownError(
        "SIGKILL",
        re.compile("SIGKILL"),
        "killed from outside: mostly by the kernel, because the host ran out of memory",
        "`journalctl -k -g oom`; fewer ranks or data workers, or more memory",
        may_pass=True,
    ),
    KnownError(
        "SIGBUS",
        re.compile("SIGBUS"),
        "a page of shared memory was not there: /dev/shm is full",
        "`df /dev/shm`; enlarge it, or fewer data workers",
    ),
    KnownError(
        "SIGSEGV",
        re.compile("SIGSEGV"),
        "native code crashed: mostly a MindSpore that does not fit the CANN or driver version",
        "compare the versions with MindSpore's installation table",
    ),
    KnownError(
        "SIGABRT",
        re.compile("SIGABRT"),
        "native code gave up, and printed why",
        "read its last lines: `glmd logs N --rank R`",
    ),
)
"""What a rank's end by a signal means that glmd did not send; the pattern is the signal's name."""

_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d)[- T](\d\d:\d\d:\d\d)(?:[.,](\d{3}))?")


def known_error_in(log: Path) -> Finding | None:
    """Return the known error that the end of `log` shows; None where there is none.

    What was said before the last step was survived, and does not count.
    """
    return find(after_last_step(tail(log)))


def find(lines: Sequence[str]) -> Finding | None:
    """Return the known error that `lines` of a log show last, of the kind that says most."""
    for error in KNOWN_ERRORS:
        for number in range(len(lines) - 1, -1, -1):
            if error.pattern.search(lines[number]):
                return Finding(error, lines[number].strip(), _said(lines[: number + 1]))
    return None


def _said(lines: Sequence[str]) -> str:
    """Return the time of the last of `lines`: its own, or of the last line before it that has one."""
    found = next((match for line in reversed(lines) if (match := _TIME.search(line))), None)
    return f"{found[1]} {found[2]}.{found[3] or '000'}" if found else ""
