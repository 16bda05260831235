"""The errors that trainings on Ascend servers are known to end with: what each means, and what to do about it.

Those with a code of CANN's are in handlers.rank_log.cann_codes. The sources of the others: the fault table of
MindSpore's troubleshooter for E39999 and device memory; the strings in MindSpore 2.0's and 2.9's own libraries for
strategies, memory and lost peers; hiascend.com's troubleshooting guide (CANN 8.0, troubleshooting_0004 "AI Core Error"
and _0012 "Index Operator Out of Range") for operators that fail on the device; torch_npu and CANN's return codes for
device memory that fails. None was provoked on a real card. docs/troubleshooting.md has the same table; a test holds the
two together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.rank_log import cann_codes
from handlers.rank_log.error_kinds import KnownError, by_text
from handlers.rank_log.meeting import NOT_REACHED
from handlers.rank_log.progress import after_last_step
from handlers.rank_log.tail import tail


@dataclass(frozen=True)
class Finding:
    """A known error in a log."""

    error: KnownError
    line: str
    when: str
    """When, as `2026-11-24 09:14:07.100` in the host's time; empty where the log does not tell."""


_CAUSES = (
    by_text(
        "device memory fault",
        r"[Mm]ulti-?[Bb]it ECC|reason=\[?device mem error|\bUCE ERROR\b|" + cann_codes.returned("507053", "507054"),
        "the memory of the device has an error that cannot be corrected (ECC)",
        "`glmd retry N`; if it comes again on the same device, leave that out and have the card repaired",
    ),
    by_text(
        "operator failed on device",
        r"[Tt]here is (?:an? )?(?:exception of )?ai(?:core|vec) |Aicore kernel execute failed"
        r"|reason=\[?(?:aicore|vector core) exception|" + cann_codes.returned("507015", "507035"),
        "an operator failed on the device: often an index out of range, as of a token beyond the vocabulary",
        "check that vocab_size covers the tokens of the data; if it is always the same device, check the card",
    ),
    by_text(
        "device memory",
        r"\bEL0004\b|[Mm]emory not enough|[Mm]emory isn't enough|Allocate continuous memory failed"
        r"|Malloc device memory failed|NPU out of memory|" + cann_codes.returned("207001", "207018"),
        "the device has too little memory for this model and batch, or another process holds some of it",
        "a smaller batch_size or seq_length, recompute, more model_parallel; `npu-smi info` shows other processes",
    ),
    by_text(
        "host memory",
        r"Cannot allocate memory|^MemoryError\b|std::bad_alloc",
        "the host has no memory left, or a limit of the unit or container is reached",
        "fewer ranks or data workers, or more memory; `free -g` while it loads",
        may_pass=True,
    ),
    by_text(
        "port in use",
        r"[Aa]ddress already in use|\bEI0019\b|\bEI0020\b|\bEJ0003\b",
        "another program holds a port: 16666 on a device, 60000 to 60015 on the host, or the scheduler's",
        "find it with `ss -ltnp`, then `glmd retry N`",
        may_pass=True,
    ),
    by_text(
        "disk full",
        r"No space left on device|Disk quota exceeded",
        "a disk or quota is full, where the ranks write",
        "free space below the job's `output` or raise the quota, lower keep_checkpoint_max, then `glmd retry N`",
        may_pass=False,
    ),
    by_text(
        "missing module",
        r"^(?:ModuleNotFoundError|ImportError)\b",
        "the training interpreter lacks a package, or has a version that does not fit",
        "install it into the interpreter that `training.python` names, or name another one",
        may_pass=False,
    ),
    by_text(
        "missing file",
        r"^FileNotFoundError\b",
        "a file or directory that the YAML names is not there for the user who trains",
        "correct the path, or the permissions of the directories on the way",
        may_pass=False,
    ),
    by_text(
        "strategy",
        r"[Ii]nvalid strategy|cannot be divisible by strategy",
        "the parallel strategy does not divide a dimension of the model",
        "choose model_parallel so that it divides heads, vocabulary and hidden size",
        may_pass=False,
    ),
    by_text(
        "weights do not fit",
        r"load_param_into_net.{0,400}same (?:shape|type)",
        "load_checkpoint is of another model, or of another cut of this one",
        "compare the two: `glmd inspect FILE`; give whole weights, or shards of the same strategy",
        may_pass=False,
    ),
    by_text(
        "no data",
        r"\bE39999\b|GetNext.{0,200}time ?out",
        "the data set was slower than the device",
        "look at the data's storage and at num_parallel_workers; a smaller batch",
        may_pass=True,
    ),
)

_PYTHON_ERROR = by_text(
    "Python error",
    r"^(?!(?:RuntimeError|ConnectionError|ConnectionResetError|TimeoutError)\b)(?:\w+\.)*\w+(?:Error|Exception)(?::|$)",
    "the training's Python code raised it: usually a value in the YAML, or the data",
    "read its traceback: `glmd logs N --rank R`",
)

_ECHOES = (
    by_text(
        "HCCL time-out",
        r"wait socket establish timeout|[Nn]otify.{0,200}time(?:s|d)? ?out|event wait timeout",
        "in a collective operation another rank did not answer in time",
        "look at the rank that stopped printing first; if it was at work, raise HCCL_EXEC_TIMEOUT in "
        "`training.environment`",
        may_pass=True,
        is_echo=True,
    ),
    by_text(
        NOT_REACHED,
        r"Building networking for MS_\w+ failed|Failed to initialize distributed job cluster",
        "not all ranks were at the scheduler in time (MS_TOPO_TIMEOUT)",
        "see what the rank that did not come has printed: `glmd logs N --rank R`; if it was at work, raise "
        "MS_TOPO_TIMEOUT in `training.environment`",
        may_pass=True,
        is_echo=True,
    ),
    by_text(
        "lost peer",
        r"Connection (?:closed|reset) by peer|Failed to (?:receive|send) (?:data|message) (?:from|to) rank"
        r"|[Ss]end heartbeat timeout|Failed to send heartbeat message|[Bb]roken pipe"
        r"|The node: \d+ is timed out|number of timed out node|The state of the cluster is error",
        "the connection to another rank or to the scheduler broke: that process has ended",
        "look at the rank that ended first; if it is this one, no rank has more: `glmd retry N`",
        may_pass=True,
        is_echo=True,
    ),
)

_MINDSPORE_ERROR = by_text(
    "MindSpore error",
    r"^(?:RuntimeError|ConnectionError|ConnectionResetError|TimeoutError)\b",
    "MindSpore or CANN failed",
    "read what it printed around: `glmd logs N --rank R`; CANN's own logs are in ~/ascend/log",
)

_BY_WEIGHT = (
    *cann_codes.CAUSES,
    *_CAUSES,
    cann_codes.INVALID_DEVICE,
    *cann_codes.FAMILIES,
    _PYTHON_ERROR,
    *cann_codes.ECHOES,
    cann_codes.INVALID_ARGUMENT,
    *cann_codes.FAMILIES_OF_ECHOES,
    *_ECHOES,
    *cann_codes.INNER_ERRORS,
    _MINDSPORE_ERROR,
)
"""Where a log shows several, the first of these counts: a code before its family, a cause before an echo, and what is
general last. Some come twice, with the patterns of what says more and of what says less.
"""

KNOWN_ERRORS = tuple(
    error for number, error in enumerate(_BY_WEIGHT) if error.name not in {other.name for other in _BY_WEIGHT[:number]}
)
"""Each once."""

SIGNALS = (
    KnownError(
        "SIGKILL",
        re.compile("SIGKILL"),
        "killed from outside: usually by the kernel, because the host ran out of memory; then the reason has that, "
        "or `killed by a person or a program`",
        "`journalctl -k -g oom`; fewer ranks or data workers, or more memory; after a kill by a person `glmd retry N`",
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
        "native code crashed: usually a MindSpore that does not fit the CANN or driver version",
        "compare the versions with MindSpore's installation table",
    ),
    KnownError(
        "SIGABRT",
        re.compile("SIGABRT"),
        "native code ended itself, and printed why",
        "read its last lines: `glmd logs N --rank R`",
    ),
)
"""What a rank's end by a signal means that glmd did not send; the pattern is the signal's name."""

_BY_NAME = {error.name: error for error in KNOWN_ERRORS}

_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d)[- T](\d\d:\d\d:\d\d)(?:[.,](\d{3}))?")


def known_error(name: str | None) -> KnownError | None:
    """Return the error of a log that is called `name`; None where none is, as another version of glmd may have it."""
    return None if name is None else _BY_NAME.get(name)


def known_error_in(log: Path) -> Finding | None:
    """Return the known error that the end of `log` shows; None where there is none.

    What was said before the last step was survived, and does not count.
    """
    return find(after_last_step(tail(log)))


def find(lines: Sequence[str]) -> Finding | None:
    """Return the known error that `lines` of a log show last, of the kind that says most."""
    for error in _BY_WEIGHT:
        for number in range(len(lines) - 1, -1, -1):
            if error.pattern.search(lines[number]):
                return Finding(error, lines[number].strip(), _when(lines[: number + 1]))
    return None


def _when(lines: Sequence[str]) -> str:
    """Return the time of the last of `lines`: its own, or of the last line before it that has one."""
    found = next((match for line in reversed(lines) if (match := _TIME.search(line))), None)
    return f"{found[1]} {found[2]}.{found[3] or '000'}" if found else ""
