"""Reads a rank table (RANK_TABLE_FILE) in whichever form it is written."""

import json
from pathlib import Path

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.rank_table.contents import Device, Form, RankTable, Server
from handlers.rank_table.group_list import read_groups
from handlers.rank_table.json_values import JsonValues, kind, show
from handlers.rank_table.server_list import read_servers

__all__ = ["Device", "Form", "RankTable", "Server", "load", "parse"]

_UNFINISHED = (
    "; its writer (ModelArts, hccl-controller, Ascend Operator) completes it when all pods of the job run: wait "
    "until it says completed"
)
_GLOBAL = (
    "this is a global-ranktable (server_group_list), which ClusterD writes for MindIE's inference servers: "
    "no rank table of a training"
)


def parse(content: bytes, where: str) -> tuple[RankTable | None, list[str]]:
    """Return the table in `content` and what is malformed in it; None where that leaves no table to judge further.

    Raises BadInputError, naming `where`, when it is no JSON.
    """
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"{where}:{error.lineno}:{error.colno}: not JSON: {error.msg}", Code.RANK_TABLE_NOT_JSON
        ) from error
    except (ValueError, RecursionError) as error:  # no UTF-8; a number of thousands of digits; too deep
        raise BadInputError(f"{where}: not JSON: {error}", Code.RANK_TABLE_NOT_JSON) from error
    values = JsonValues()
    table = _table(document, values)
    return table, values.all_problems()


def load(path: Path) -> tuple[RankTable | None, list[str]]:
    """Read a file as `parse` does; raises BadInputError also when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror}", Code.RANK_TABLE_UNREADABLE) from error
    return parse(content, str(path))


def _table(document: object, values: JsonValues) -> RankTable | None:
    if not isinstance(document, dict):
        values.problems.append(f"a rank table is a JSON object, not {kind(document)}")
        return None
    if "server_group_list" in document:
        values.problems.append(_GLOBAL)
        return None
    status = document.get("status")
    if status != "completed":
        why = _UNFINISHED if status == "initializing" else ""
        values.problems.append(f'status must be "completed", not {show(status)}{why}')
    is_group_list = "group_list" in document and "server_list" not in document
    lists = document.get("group_list" if is_group_list else "server_list")
    if status == "initializing" and not lists:
        return None  # what else is not there yet is no fault
    return read_groups(document, values) if is_group_list else read_servers(document, values)
