"""The file format of HCCL's rank table, version 1.0 (RANK_TABLE_FILE): what is in it, how it is written and read.

Version 1.0 is a JSON object whose every scalar is a string. HCCL's documentation gives it; the stock tools write it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from handlers.errors import BadInputError


@dataclass(frozen=True)
class Device:
    """A device and the rank that runs on it. `device_id` is the physical id; `device_ip` is empty where not known."""

    device_id: int
    device_ip: str
    rank_id: int


@dataclass(frozen=True)
class Server:
    """A host; `server_id` is its address, the same on no other."""

    server_id: str
    devices: tuple[Device, ...]
    host_nic_ip: str = "reserve"


@dataclass(frozen=True)
class RankTable:
    """A whole table."""

    servers: tuple[Server, ...]

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices of all servers, in the table's order."""
        return tuple(device for server in self.servers for device in server.devices)

    def to_json(self) -> str:
        """Return the file's text, to the byte what the stock tool writes."""
        servers = [
            {
                "server_id": server.server_id,
                "device": [{key: str(value) for key, value in vars(device).items()} for device in server.devices],
                "host_nic_ip": server.host_nic_ip,
            }
            for server in self.servers
        ]
        table = {
            "version": "1.0",
            "server_count": str(len(servers)),
            "server_list": servers,
            "status": "completed",
        }
        return json.dumps(table, indent=4)

    def file_name(self) -> str:
        """Return the stock tools' name, as `hccl_8p_01234567_192.168.1.196.json`; of two servers `hccl_2s_16p.json`.

        The digits are the physical device ids, so that two containers on one host do not share a name.
        """
        if len(self.servers) != 1:
            return f"hccl_{len(self.servers)}s_{len(self.devices)}p.json"
        which = "".join(str(device.device_id) for device in self.devices)
        server_id = re.sub(r"[^0-9A-Za-z_.:-]", "_", self.servers[0].server_id)
        return f"hccl_{len(self.devices)}p_{which}_{server_id}.json"


def parse(content: bytes, where: str) -> tuple[RankTable | None, list[str]]:
    """Return the table in `content` and what is malformed in it; None where that leaves no table to judge further.

    Raises BadInputError, naming `where`, when it is no JSON.
    """
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise BadInputError(f"{where}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadInputError(f"{where}: not JSON: {error}") from error
    reader = _Reader()
    table = reader.table(document)
    return table, reader.problems


def load(path: Path) -> tuple[RankTable | None, list[str]]:
    """Read a file as `parse` does; raises BadInputError also when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(content, str(path))


class _Reader:
    """Turns JSON values into a table and notes every one that is not as it must be."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def table(self, document: object) -> RankTable | None:
        if not isinstance(document, dict):
            self.problems.append(f"a rank table is a JSON object, not {_kind(document)}")
            return None
        if document.get("version") != "1.0":
            hint = "; 1.2 is for Atlas A3, which this version does not know" if document.get("version") == "1.2" else ""
            self.problems.append(f'version must be "1.0", not {_show(document.get("version"))}{hint}')
        if document.get("status") != "completed":
            self.problems.append(f'status must be "completed", not {_show(document.get("status"))}')
        entries = self._list(document, "server_list", "the table")
        if entries is None:
            return None
        if document.get("server_count") != str(len(entries)):
            count = _show(document.get("server_count"))
            self.problems.append(f'server_count must be "{len(entries)}", the length of server_list, not {count}')
        before = len(self.problems)
        servers = [self._server(entry, f"server_list[{index}]") for index, entry in enumerate(entries)]
        return RankTable(tuple(servers)) if len(self.problems) == before else None

    def _server(self, entry: object, where: str) -> Server:
        values = self._object(entry, where)
        devices = self._list(values, "device", where) or []
        return Server(
            server_id=self._text(values, "server_id", where),
            devices=tuple(self._device(item, f"{where}.device[{index}]") for index, item in enumerate(devices)),
            host_nic_ip=self._text(values, "host_nic_ip", where, default="reserve"),
        )

    def _device(self, entry: object, where: str) -> Device:
        values = self._object(entry, where)
        return Device(
            device_id=self._number(values, "device_id", where),
            device_ip=self._text(values, "device_ip", where, default=""),
            rank_id=self._number(values, "rank_id", where),
        )

    def _object(self, value: object, where: str) -> dict[str, object]:
        if isinstance(value, dict):
            return value
        self.problems.append(f"{where} must be an object, not {_kind(value)}")
        return {}

    def _list(self, values: dict[str, object], key: str, where: str) -> list[object] | None:
        value = values.get(key)
        if isinstance(value, list):
            return value
        self.problems.append(f"{where}: {key} must be a list, not {_kind(value)}")
        return None

    def _text(self, values: dict[str, object], key: str, where: str, default: object = None) -> str:
        value = values.get(key, default)
        if isinstance(value, str):
            return value
        self.problems.append(f"{where}: {key} must be a string, not {_show(value)}")
        return ""

    def _number(self, values: dict[str, object], key: str, where: str) -> int:
        value = values.get(key)
        if isinstance(value, str) and re.fullmatch(r"0|[1-9]\d{0,8}", value, re.ASCII):
            return int(value)
        self.problems.append(f'{where}: {key} must be a number in a string, as "0", not {_show(value)}')
        return 0


def _show(value: object) -> str:
    return "absent" if value is None else json.dumps(value)[:60]


def _kind(value: object) -> str:
    kinds = {type(None): "absent", dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return kinds.get(type(value), "a number")
