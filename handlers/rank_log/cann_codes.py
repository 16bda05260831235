"""The error codes of CANN, Huawei's software below MindSpore: what is known of single ones, and of whole families.

A code has six characters, as EI0006: E for an error (W and I, for warnings and news, end no training), one for the
component that says it, and a number, which from 9000 on is that of an error inside of CANN. The components are those of
hiascend.com's troubleshooting guide (CANN 8.5 and 9.0, maintenref/troubleshooting/troubleshooting_0225), those of 5, 6,
9 and A from the table error_manager/error_code.json of github.com/Ascend/metadef.

The sources of the single ones: the same guide's page of each code; Huawei's HCCL guide for EI0001, EI0002, EI0006,
EI0013, EI0015 and EJ0004; the fault table of MindSpore's troubleshooter for EI0004 and EJ0001; and public issues,
vllm-project/vllm-ascend 1815 for EJ0002, 405 for EJ0003, 8186 and 11171 for EL0001, opendatalab/MinerU 2258 and
vllm-project/vllm-ascend 1875 for EC0010,
Ascend/pytorch 67 for EL0003, gpustack/gpustack 3352 for EE1001. Of EI0007, EI0011, EI0017, EI0018 and EL0002 only the
titles were read, and the advice is ours. Return codes are those of CANN's include/acl/error_codes/rt_error_codes.h, as
docs.rs/cann-sys has it. None was provoked on a real card.
"""

import re
from dataclasses import dataclass, replace

from handlers.rank_log.error_kinds import KnownError, by_code, by_text

_NOT_THERE = (
    "compare the settings' `devices:` with `npu-smi info`; remove ASCEND_RT_VISIBLE_DEVICES from `training.environment`"
)
_READ_ON = "`glmd logs N --rank R`; CANN's own logs are in ~/ascend/log"
_LINES_BEHIND = f"the lines behind the code say more: {_READ_ON}"
_LINES_NAME_IT = f"the lines behind the code name it: {_READ_ON}"

_RETURNED = r"(?:[Ee]rr(?:or)?[ _-]?[Cc]ode|errno|[Rr]esult|[Rr]et(?:[Cc]ode)?)\W{0,3}(?:is\W{0,3})?"


def returned(*numbers: str) -> str:
    """Return the pattern of what CANN's functions return, as in `runtime result = 507015` or `error code is 507015`."""
    return rf"{_RETURNED}(?:{'|'.join(numbers)})\b"


CAUSES = (
    by_code(
        "EI0001",
        "a variable of HCCL's in the environment has a value out of its range",
        "correct the HCCL_… variable that the line names in `training.environment`",
        may_pass=False,
    ),
    by_code(
        "EI0003",
        "an argument of a collective operation is wrong, often RANK_ID or RANK_SIZE does not fit the rank table",
        "remove what sets RANK_… or DEVICE_ID in `training.environment`",
        may_pass=False,
    ),
    by_code(
        "EI0004",
        "HCCL rejects the rank table as illegal",
        "`glmd rank-table check FILE` says which rule it breaks",
        may_pass=False,
    ),
    by_code(
        "EI0005",
        "ranks call a collective operation with different arguments",
        "give all ranks the same configuration, data and MindFormers checkout",
        may_pass=False,
    ),
    by_code(
        "EI0007",
        "HCCL could not allocate a resource, usually memory of the device",
        "check that `npu-smi info` shows no other process on the device; then use a smaller batch",
        may_pass=True,
    ),
    by_code(
        "EI0008",
        "the servers have different CANN versions",
        "install the same CANN on all of them",
        may_pass=False,
    ),
    by_code(
        "EI0010",
        "two devices of a server do not reach each other directly (P2P)",
        "check that `npu-smi info` says OK for both; else set HCCL_INTRA_ROCE_ENABLE=1 in `training.environment`",
    ),
    by_code(
        "EI0011",
        "the device's memory is used up, and HCCL wants its buffers",
        "a smaller batch_size, or a lower max_device_memory in the YAML's context",
    ),
    by_code(
        "EI0014",
        "the rank table differs between ranks or contradicts the devices that are there",
        "give every server the same file: `glmd rank-table check FILE`, `glmd rank-table merge FILES`",
        also=(r"\bEI0017\b",),
        may_pass=False,
    ),
    by_code(
        "EJ0001",
        "the device's communication process (HCCP) is up already: an earlier training still holds the device",
        "look for its processes with `npu-smi info` and end those by pid; then `glmd retry N`",
        may_pass=True,
    ),
    by_code(
        "EJ0002",
        "the network port of the device is down",
        "`hccn_tool -i D -link -g` shows it; check cable, optical module and switch; then `glmd retry N`",
        may_pass=False,
    ),
    by_code(
        "EJ0004",
        "the rank table has another address for the device than its network adapter",
        "correct the table: `hccn_tool -i D -ip -g` says the address; then `glmd retry N`",
        also=(r"the IP address\(\S+\) in the ranktable is inconsistent",),
        may_pass=False,
    ),
    by_code(
        "EL0002",
        "the driver knows no device of this number",
        _NOT_THERE,
        may_pass=False,
    ),
    by_code(
        "EL0003",
        "the driver refused an argument: usually it could not open the device",
        "check that `npu-smi info` shows the device, and no other process on it; remove ASCEND_RT_VISIBLE_DEVICES from "
        "`training.environment`",
    ),
    by_code(
        "EL0005",
        "the device is busy: another process holds it, or it is being reset",
        "end what `npu-smi info` shows on it by pid, or wait; then `glmd retry N`",
        may_pass=True,
    ),
    by_code(
        "EC0010",
        "CANN's operator compiler could not import a Python module: it is missing, or of a version that does not fit",
        "install what the line names into the interpreter that `training.python` names; CANN wants numpy below 2",
        also=(r"\bE40020\b", "Failed to import Python module"),
        may_pass=False,
    ),
    by_code(
        "EL0001",
        "the driver has no device of this number, or it does not answer any more",
        "check what `npu-smi info` says of the device; until it is OK leave it out, or reboot",
        also=(r"Device\[\d+\] lost heartbeat", r"reason=\[?lost heartbeat", returned("507010")),
    ),
)
"""Single codes whose rank is where to look."""

INVALID_DEVICE = by_text(
    "EE1001",
    r"\bEE1001\b.{0,400}\bdevice|[Ss]et (?:visible )?device failed, invalid device|reason=\[?device id error",
    "CANN's runtime refused an argument: usually the number of a device that this host or container does not have",
    _NOT_THERE,
    may_pass=False,
)
"""EE1001 with a message about a device."""

INVALID_ARGUMENT = replace(INVALID_DEVICE, pattern=re.compile(r"\bEE1001\b", re.ASCII))
"""EE1001 of whatever: the runtime says it, too, of what came of another error."""

ECHOES = (
    by_code(
        "EI0002",
        "another rank did not answer in time (notify time-out): it has ended, or is slow, as in a long save",
        "look at the rank that stopped printing first; if it was at work, raise HCCL_EXEC_TIMEOUT in "
        "`training.environment`",
        may_pass=True,
        is_echo=True,
    ),
    by_code(
        "EI0006",
        "another rank did not connect in time (socket time-out): it has ended, or is slow to load",
        "look at the rank that stopped printing first; if it was at work, raise HCCL_CONNECT_TIMEOUT in "
        "`training.environment`",
        may_pass=True,
        is_echo=True,
    ),
    by_code(
        "EI0009",
        "the connection to another rank could not be set up",
        "look at the rank that stopped printing first; then at the links: `hccn_tool -i D -link -g`",
        may_pass=True,
        is_echo=True,
    ),
    by_code(
        "EI0013",
        "another device no longer answered: its rank has ended, or the network between the two is bad",
        "look at the rank that ended first; then at the links: `hccn_tool -i D -link -g`",
        also=(r"\bEI0018\b", "error cqe status"),
        may_pass=True,
        is_echo=True,
    ),
    by_code(
        "EI0015",
        "not all ranks connected to each other",
        "look at the rank that never connected; then at firewall and addresses",
        may_pass=True,
        is_echo=True,
    ),
    by_code(
        "EE1002",
        "the device did not finish its work in time (stream time-out): usually it waits for another rank",
        "look at the rank that stopped printing first; then at the links: `hccn_tool -i D -link -g`",
        also=("[Ss]tream synchroniz(?:e|ation) time-?out", returned("507046")),
        may_pass=True,
        is_echo=True,
    ),
)
"""Single codes that a rank gives when another one is late or lost."""


@dataclass(frozen=True)
class _Family:
    """The codes of one component."""

    letters: str
    """The second characters of its codes."""
    cause: str
    remedy: str = _LINES_BEHIND

    def errors(self, numbers: str) -> KnownError:
        """Describe those with these `numbers`, a pattern."""
        name = ", ".join(f"E{letter}…" for letter in self.letters)
        return by_text(name, _code_of(self.letters, numbers), self.cause, self.remedy)


def _code_of(letters: str, numbers: str) -> str:
    """Return the pattern of a code that need not be known to be one: where it stands and what follows must show it."""
    code = rf"E[{letters}]{numbers}"
    return rf"(?<![\w./-]){code}(?=\)?[:\uff1a]| ?\[PID)|^\s*{code}(?=\s)"  # the second colon is Chinese


_USER, _INNER, _ANY = r"[0-8]\d{3}", r"9\d{3}", r"\d{4}"

_FAMILIES = (
    _Family(
        "L",
        "the driver of the devices refused or failed",
        f"`npu-smi info` must say OK of the device, and `dmesg` has what the driver says; {_LINES_BEHIND}",
    ),
    _Family(
        "J",
        "the device's communication process (HCCP) failed, which carries HCCL's connections",
        f"`hccn_tool -i D -link -g` says whether its link is up; {_LINES_BEHIND}",
    ),
    _Family("1", "the graph engine (GE) could not compile or run an operator or the whole model", _LINES_NAME_IT),
    _Family("2", "the fusion engine (FE), a part of the graph compiler, did not take an operator", _LINES_NAME_IT),
    _Family(
        "3", "the AI CPU of the device, which feeds it with data, failed", f"look at the data first; {_LINES_BEHIND}"
    ),
    _Family("4B", "the compiler of operators (TE Fusion, TBE) could not compile one", _LINES_NAME_IT),
    _Family("56789AZ", "an operator did not take its inputs (types, shapes, values), or failed", _LINES_NAME_IT),
    _Family("CDFG", "a tuning tool (AOE, Auto Tune, RL Tune, LxFusion) failed", f"leave tuning off; {_LINES_BEHIND}"),
    _Family("H", "AscendCL (ACL), through which MindSpore calls CANN, did not take a call or could not do it"),
    _Family(
        "KMNOP",
        "something beside the training (profiling, queues, DVPP, AMCT, dumps) failed",
        f"leave profiling and dumps off; {_LINES_BEHIND}",
    ),
)
_FAMILIES_OF_ECHOES = (
    _Family(
        "I",
        "HCCL, by which the ranks talk to each other, refused or failed",
        f"look at the rank that stopped printing first; {_LINES_BEHIND}",
    ),
    _Family("E", "the runtime (RTS), which runs the work of the device, refused or failed"),
)
_UNKNOWN = by_text(
    "another code of CANN",
    _code_of("0QRSTUVWXY", _ANY),
    "a component of CANN that glmd does not know refused or failed",
    _LINES_BEHIND,
)

FAMILIES = tuple(family.errors(_USER) for family in _FAMILIES)
"""Codes of components whose failures are their own."""

FAMILIES_OF_ECHOES = tuple(family.errors(_USER) for family in _FAMILIES_OF_ECHOES)
"""Codes of components that also say what came of another rank's failure."""

INNER_ERRORS = (
    *(family.errors(_INNER) for family in (*_FAMILIES, *_FAMILIES_OF_ECHOES)),
    _UNKNOWN,
    by_text(
        "return code of CANN",
        returned(r"[125]07\d{3}"),
        "CANN's runtime refused an argument (107…), had no resources left (207…), or device or driver failed (507…)",
        _LINES_BEHIND,
    ),
)
"""What components say of whatever happens, echoes too: numbers from 9000 on (`EE9999: Inner Error!`), return codes."""

CODE = re.compile(_code_of("0-9A-Z", _USER), re.ASCII)
"""A code that may say what happened."""

INNER_CODE = re.compile(_code_of("0-9A-Z", _INNER), re.ASCII)
"""A code that says only that something did."""
