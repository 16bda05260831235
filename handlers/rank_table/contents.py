"""What a rank table says: servers, their devices, and the rank on each; and the text in which it is written."""

import json
import re
from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """How a file says it. glmd writes the first; `glmd rank-table merge` turns the others into it."""

    SERVER_LIST = "server_list"
    """Version 1.0, template 1 of HCCL's documentation: what hccl_tools.py and Ascend Operator write."""
    PODS = "group_list of pods"
    """Template 2, without ranks: ModelArts' jobstart_hccl.json, MindX' hccl-controller. HCCL numbers the ranks."""
    LAB = "group_list of ranks"
    """Template 2 with `deploy_mode`, one instance a rank: MindSpore's first tutorials."""


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
    form: Form = Form.SERVER_LIST
    """Of the file that it was read from."""

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices of all servers, in the table's order."""
        return tuple(device for server in self.servers for device in server.devices)

    def to_json(self) -> str:
        """Return the file's text in version 1.0, to the byte what the stock tool writes."""
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
