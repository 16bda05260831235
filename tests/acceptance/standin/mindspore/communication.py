"""The meeting of a cluster, with the texts of MindSpore 2.9: the scheduler waits for all ranks, then for their end."""

import os
import socket
import time

_SAYS = "[{}] DISTRIBUTED({},7f80b31ffb80,python):2026-11-29-17:50:38.163.328 [mindspore/ccsrc/cluster/{}] {}"
_connections: list[socket.socket] = []


def init() -> None:
    """Meet the others; the scheduler comes back when they have ended. Raises RuntimeError where some never came."""
    place = (os.environ["MS_SCHED_HOST"], int(os.environ["MS_SCHED_PORT"]))
    deadline = time.monotonic() + float(os.environ["MS_TOPO_TIMEOUT"])
    try:
        if os.environ["MS_ROLE"] == "MS_SCHED":
            _schedule(place, deadline)
        else:
            _register(place, deadline)
    except TimeoutError:
        _say("ERROR", "topology/cluster_context.cc:94", f"Building networking for {os.environ['MS_ROLE']} failed.")
        raise RuntimeError(
            "Failed to initialize distributed job cluster because some processes in the cluster are not successfully "
            "spawned."
        ) from None


def _schedule(place: tuple[str, int], deadline: float) -> None:
    ranks = int(os.environ["MS_WORKER_NUM"])
    with socket.create_server(place) as listener:
        for number in range(1, ranks + 1):
            listener.settimeout(max(0.0, deadline - time.monotonic()) or 1e-9)
            try:
                connection = listener.accept()[0]
            except BlockingIOError:
                raise TimeoutError from None
            connection.settimeout(None)
            _connections.append(connection)
            node = connection.recv(20).decode()
            came = f"The new node: {node}(role: MS_WORKER), rank id: {node} is registered successfully."
            count = f"Currently registered node number: {number}, expected node number: {ranks}"
            _say("WARNING", "topology/meta_server_node.cc:254", f"{came} {count}")
        for connection in _connections:
            connection.sendall(b"all are here")
        for connection in _connections:
            connection.recv(1)  # nothing, when the rank has ended


def _register(place: tuple[str, int], deadline: float) -> None:
    while True:
        try:
            connection = socket.create_connection(place)
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise TimeoutError from None
            _say("WARNING", "topology/compute_graph_node.cc:193", "Failed to connect to the meta server node url")
            time.sleep(0.05)
    _connections.append(connection)
    connection.sendall(os.environ["MS_NODE_ID"].encode())
    connection.settimeout(max(0.0, deadline - time.monotonic()) or 1e-9)
    if not connection.recv(20):
        raise TimeoutError


def _say(level: str, place: str, what: str) -> None:
    print(_SAYS.format(level, os.getpid(), place, what), flush=True)
