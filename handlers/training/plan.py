"""Decides what a training runs: one command for all ranks, one environment and directory for each."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.host.reach import reach
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.topology import Topology
from handlers.records.job_dir import JobDir
from handlers.records.nodes_plan import DevicesFrom, NodesPlan
from handlers.records.train_plan import StopOn, TimeLimits, TrainPlan
from handlers.training.binding import UNBOUND, Binding
from handlers.training.entry import RUN_MINDFORMER, script_of
from handlers.training.environment import inherited, whole_environment
from handlers.training.launchers import Launch, Launcher
from handlers.training.launchers.cluster import cluster
from handlers.training.launchers.rank_table import rank_table
from handlers.training.ways import DeviceTarget, Way

LAUNCHERS: Mapping[Way, Launcher] = {Way.RANK_TABLE: rank_table, Way.CLUSTER: cluster}
"""How ranks are laid out."""

EVALUATE = "eval"
"""MindFormers' run mode."""


@dataclass(frozen=True)
class TrainRequest:
    """What the daemon knows about a training when it is about to start."""

    job_dir: JobDir
    devices: tuple[int, ...]
    """Physical ids; rank N runs on the N-th."""
    run_mode: str
    device_target: DeviceTarget
    python: Path
    """The interpreter that has MindSpore."""
    checkout: Path
    """The directory with MindFormers' run_mindformer.py."""
    entry: str = RUN_MINDFORMER
    """What runs, as handlers.training.entry has it."""
    way: Way = Way.RANK_TABLE
    rank_table: Path | None = None
    """None for none."""
    binding: Binding = UNBOUND
    """On which CPUs the ranks run."""
    config: Path | None = None
    """The YAML to run; None for the job's config.yaml."""
    load_checkpoint: Path | None = None
    """What to continue from, instead of what the YAML names."""
    register_path: Path | None = None
    """From where MindFormers imports classes of the YAML's own."""
    extra_environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # what it holds may be a secret
    output: Path | None = None
    """Where MindFormers writes; None for the job's own output."""
    configuration: str = ""
    """What it has in common with trainings whose time limits are learned together."""
    limits: TimeLimits = field(default_factory=TimeLimits)
    grace: float = 20.0
    """Seconds between TERM and KILL."""
    stop_on: StopOn = field(default_factory=StopOn)


@dataclass(frozen=True)
class OnNodes:
    """What the daemon knows of the nodes of a training; see NodesPlan."""

    nodes: int
    devices_per_node: int
    devices_from: DevicesFrom
    gres: str
    has_table: bool
    address: str
    hccn: HccnLookup
    topology: Topology
    gather: float
    node_silence: float
    lease: float
    environment: Mapping[str, str] = field(default_factory=dict)
    """What ranks get, unless the settings say otherwise."""
    preflight: bool = True


def plan_training(request: TrainRequest) -> TrainPlan:
    """Return the processes of a training, as MindFormers' run_distribute.sh or msrun_launcher.sh would start them.

    Unlike with the former no source tree is copied: each rank has a working directory of its own, and runs the
    checkout's run_mindformer.py by its absolute path. Raises BadInputError when the interpreter or that script is not
    there, and OSError as launchers do.
    """
    python = _interpreter(request.python)
    launch = Launch(
        job_dir=request.job_dir,
        devices=request.devices,
        device_target=request.device_target,
        rank_table=request.rank_table,
        python=python,
        command=(str(python), *_arguments(request)),
        environment=_environment(request, python),
        binding=request.binding,
    )
    processes = LAUNCHERS[request.way](launch)
    return TrainPlan(
        processes=processes,
        limits=request.limits,
        grace=request.grace,
        configuration=request.configuration,
        stop_on=request.stop_on,
    )


def plan_nodes(request: TrainRequest, nodes: OnNodes) -> NodesPlan:
    """Return a training whose processes are laid out on the nodes that Slurm will choose. Raises BadInputError.

    The interpreter and MindFormers have to be at the same place there as here.
    """
    python = _interpreter(request.python)
    return NodesPlan(
        nodes=nodes.nodes,
        devices_per_node=nodes.devices_per_node,
        devices_from=nodes.devices_from,
        gres=nodes.gres,
        launcher="rank_table" if request.way is Way.RANK_TABLE else "cluster",
        has_table=nodes.has_table,
        address=nodes.address,
        hccn_tool=nodes.hccn.tool,
        hccn_conf=nodes.hccn.conf,
        topology=nodes.topology,
        device_target=request.device_target,
        python=python,
        checkout=request.checkout.absolute(),
        command=(str(python), *_arguments(request)),
        environment={**nodes.environment, **request.extra_environment},
        output=_output(request),
        limits=request.limits,
        grace=request.grace,
        configuration=request.configuration,
        stop_on=request.stop_on,
        gather=nodes.gather,
        node_silence=nodes.node_silence,
        lease=nodes.lease,
        preflight=nodes.preflight,
    )


def evaluating_command(request: TrainRequest) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return what MindFormers' own evaluation runs, one process on the first device that it sees, and its environment.

    Raises BadInputError when the interpreter or the checkout is not there.
    """
    python = _interpreter(request.python)
    alone = ("--device_id=0", "--auto_trans_ckpt=False", "--resume_training=False")
    return (str(python), *_arguments(request), *alone), _environment(request, python)


def _interpreter(python: Path) -> Path:
    reach(python.absolute())
    absolute = python.absolute()  # not resolved: the link in a virtual environment is what makes it one
    if not absolute.is_file() or not os.access(absolute, os.X_OK):
        what = "is not executable by this user" if absolute.is_file() else "is not there"
        raise BadInputError(
            f"{absolute}: the training interpreter {what}; "
            "set `training.python` in glmd.yaml to the Python that has MindSpore",
            Code.TRAINING_NO_INTERPRETER,
        )
    return absolute


def _check(script: Path) -> None:
    reach(script)
    if not os.access(script, os.R_OK):
        what = "cannot be read by this user" if script.exists() else "is not there"
        raise BadInputError(
            f"{script}: {what}; set `training.checkout` in glmd.yaml to a MindFormers checkout, "
            "the directory that holds run_mindformer.py, or `training.entry` to what runs in its place",
            Code.TRAINING_NO_CHECKOUT,
        )


def _arguments(request: TrainRequest) -> list[str]:
    script = script_of(request.entry, request.checkout)
    if script is not None:
        _check(script)
    arguments = [
        *(("-m", request.entry) if script is None else (str(script),)),
        f"--config={request.config or request.job_dir.config}",
        f"--use_parallel={request.run_mode != EVALUATE}",
        f"--run_mode={request.run_mode}",
    ]
    # New in MindFormers 1.0; older ones take it for a change to the configuration, or obey LOCAL_DEFAULT_PATH alone.
    if script is None or b"--output_dir" in script.read_bytes():
        arguments.append(f"--output_dir={_output(request)}")
    if request.load_checkpoint is not None:
        arguments.append(f"--load_checkpoint={request.load_checkpoint}")
    if request.register_path is not None:
        arguments.append(f"--register_path={request.register_path}")
    return arguments


def _environment(request: TrainRequest, python: Path) -> dict[str, str]:
    return whole_environment(inherited(), request.extra_environment, python, request.checkout, _output(request))


def _output(request: TrainRequest) -> Path:
    return request.output or request.job_dir.output
