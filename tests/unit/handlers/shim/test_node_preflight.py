"""Whether a node is fit: what stands against a training is found before any rank starts."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.event_lines import EventLog
from handlers.records.nodes_plan import NodesPlan
from handlers.shim import node_preflight
from handlers.shim.node_preflight import unfitness
from tests.unit.handlers.shim.test_gathering import PLAN

CARDS = """\
| 0     910B3               | OK            | 91.0        36                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3401 / 65536         |
| 1     910B3               | Alarm         | 91.0        36                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          3401 / 65536         |
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodesPlan:
    """Return the plan of a training for which everything is there; npu-smi shows CARDS."""
    for name in ("python", "checkout", "output"):
        (tmp_path / name).mkdir()
    (tmp_path / "npu-smi").write_text(f"#!/bin/sh\ncat <<'END'\n{CARDS}END\n")
    (tmp_path / "npu-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    paths = {name: tmp_path / name for name in ("python", "checkout", "output")}
    return replace(PLAN, device_target="Ascend", environment={}, **paths)  # type: ignore[arg-type] # paths they are


def test_nothing_stands_against_a_node_that_is_fit(plan: NodesPlan) -> None:
    """Without npu-smi its devices are not looked at; a rehearsal has none."""
    assert unfitness(plan, [0], EventLog()) == ()
    assert unfitness(replace(plan, device_target="CPU"), [1], EventLog()) == ()


def test_devices_that_are_not_there_or_not_healthy_are_told(plan: NodesPlan) -> None:
    """As npu-smi tells it; the settings may want no look."""
    assert unfitness(plan, [1, 5], EventLog()) == (
        "5 are not among those that npu-smi shows",
        "the health of device 1 is Alarm (npu-smi info)",
    )
    assert unfitness(replace(plan, preflight=False), [1, 5], EventLog()) == ()


def test_a_port_that_somebody_has_is_told(plan: NodesPlan) -> None:
    """By the settings' own HCCL_IF_BASE_PORT."""
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (told,) = unfitness(replace(plan, environment={"HCCL_IF_BASE_PORT": str(port)}), [0], EventLog())
    assert told.startswith(f"port {port} of this host is in use")


def test_a_mount_that_is_missing_is_told(plan: NodesPlan) -> None:
    """All nodes have to have the same paths."""
    plan.checkout.rmdir()
    assert unfitness(plan, [0], EventLog()) == (f"{plan.checkout} is not there",)


def test_an_output_that_takes_nothing_is_told(plan: NodesPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read only there, or full."""
    with monkeypatch.context() as patch:
        patch.setattr(node_preflight.os, "access", lambda *_: False)
        assert unfitness(plan, [0], EventLog()) == (f"{plan.output} cannot be written to",)
    full = os.statvfs_result((4096, 4096, 100, 0, 0, 100, 50, 50, 0, 255))
    monkeypatch.setattr(node_preflight.os, "statvfs", lambda _: full)
    assert unfitness(plan, [0], EventLog()) == (f"{plan.output} has no room: its file system is full",)
