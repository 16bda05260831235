"""Checks a dropped YAML before it becomes a job: all problems at once, each with its line and column."""

from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.lora import LoraScale
from handlers.devices import bracket_hint, format_devices, parse_devices
from handlers.mindformers.dialect import Dialect, dialect_of
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.rank_table.topology import Topology, topology_problem
from handlers.validate.allowed_paths import check_allowed
from handlers.validate.disk_estimate import check_disk
from handlers.validate.document import MAX_BYTES, Document, Place, parse
from handlers.validate.glmd_section import KEY, GlmdSection, read_section
from handlers.validate.initial_weights import check_weights, weights_to_load
from handlers.validate.input_paths import check_data
from handlers.validate.lora_rules import check_adapters, check_lora
from handlers.validate.mindformers_rules import (
    Target,
    check_device_target,
    check_model,
    check_parallel,
    check_parts,
    check_run_mode,
    is_true,
)
from handlers.validate.problem import ConfigError, Findings, Problem, in_order
from handlers.validate.resuming_rules import check_resuming
from handlers.validate.saving_rules import check_saving

_COUNTS = (1, 2, 4, 8, 16)
"""How many devices of one server HCCL takes."""


@dataclass(frozen=True)
class Rules:
    """What a check goes by besides the file."""

    devices: tuple[int, ...]
    """All that settings list."""
    topology: Topology = Topology.ANY
    max_bytes: int = MAX_BYTES
    disk: Path | None = None
    """Where jobs are written; None leaves free disk unchecked."""
    latest: Path | None = None
    """ROOT/latest, for `continue_from: latest`."""
    allowed: tuple[Path, ...] = (Path("/"),)
    """What a file may name paths in."""
    version: Version = OF_GLM_6B
    """Of the MindFormers that is to run the file."""


@dataclass(frozen=True)
class CheckedConfig:
    """A file that can run, and what the rest of glmd needs to know of it."""

    section: GlmdSection
    devices: tuple[int, ...]
    """Physical ids; rank N runs on the N-th."""
    run_mode: str
    """`train` or `finetune`."""
    prefix: str
    """Of the shards' names."""
    dialect: Dialect
    """Of the MindFormers that is to run it."""
    device_target: Target
    parallel_mode: int
    """0 data parallel, 1 semi-auto parallel, 2 auto parallel."""
    needs_strategy: bool
    """Whether strategy files will come with the shards."""
    cuts_weights: bool
    """Whether MindFormers is to cut whole weights for the ranks (auto_trans_ckpt)."""
    config: bytes
    """What runs: the file byte for byte, without its `glmd:` section."""
    warnings: tuple[Problem, ...]
    sink_size: int | None = None
    """Steps of one of MindFormers' epochs with data sinking, -1 for a pass over the data; None without sinking."""
    lora_scale: LoraScale | None = None
    """How strongly the adapters count, where they are to be merged into their weights."""

    @property
    def ranks(self) -> int:
        """How many processes train: one a device."""
        return len(self.devices)


def check(content: bytes, name: str, rules: Rules) -> CheckedConfig:
    """Return what the file `name` with these bytes asks for; raises ConfigError with everything that is wrong."""
    document = parse(content, name, rules.max_bytes)
    root = document.root
    section, wrong, problems = read_section(root)
    findings = Findings([*document.problems, *problems])
    check_parts(root, findings)
    run_mode = check_run_mode(root, section, findings)
    target = check_device_target(root, findings)
    devices = () if "devices" in wrong else _devices(document, section, rules, target, findings)
    parallel = check_parallel(root, devices, target, findings)
    check_model(root, parallel, findings)
    check_adapters(root, findings)
    lora_scale = None if "merge" in wrong else check_lora(root, section, parallel, findings)
    check_allowed(root, rules.allowed, findings)
    check_data(root, findings)
    saving = check_saving(root, section, findings)
    prefix = saving.prefix if saving else ""
    dialect = dialect_of(rules.version)
    if saving and saving.steps:
        check_resuming(root, saving.steps, parallel, dialect, findings)
    if "continue_from" not in wrong:
        published = weights_to_load(section, prefix, rules.latest) if section.continue_from == "latest" else None
        check_weights(root, section, run_mode, parallel, published, findings)
    if saving and rules.disk:
        check_disk(root, parallel, saving, section.merge, rules.disk, findings)
    config = _without_section(document, findings)
    if findings.problems:
        raise ConfigError(name, findings.problems)
    return CheckedConfig(
        section=section,
        devices=devices,
        run_mode=run_mode,
        prefix=prefix,
        dialect=dialect,
        device_target=target,
        parallel_mode=parallel.mode,
        needs_strategy=parallel.by_strategy,
        cuts_weights=is_true(root, "auto_trans_ckpt"),
        config=config,
        warnings=in_order(findings.warnings),
        sink_size=_sink_size(root),
        lora_scale=lora_scale,
    )


def _sink_size(root: Place) -> int | None:
    if not is_true(root, "runner_config", "sink_mode"):
        return None
    size = root.get("runner_config", "sink_size")
    return size.data if size is not None and isinstance(size.data, int) else -1


def _without_section(document: Document, findings: Findings) -> bytes:
    try:
        return document.without(KEY)
    except ConfigError as error:
        findings.problems.extend(error.problems)
        return document.content


def _devices(
    document: Document, section: GlmdSection, rules: Rules, target: Target, findings: Findings
) -> tuple[int, ...]:
    """Return the devices that the job runs on, none where they are wrong."""
    devices = rules.devices if section.devices is None else parse_devices(section.devices)
    place = document.root.get(KEY, "devices") or document.root.get(KEY) or document.root
    absent = [device for device in devices if device not in rules.devices]
    if not devices:
        findings.problems.append(place.problem("no devices", "settings list none, and the file names none"))
    elif absent:
        message = (
            f"{format_devices(absent)} are not among this host's devices: {format_devices(rules.devices) or 'none'}"
        )
        findings.problems.append(place.problem(message, bracket_hint(devices, absent).removeprefix("; ")))
        return ()
    elif target == "Ascend":
        if len(devices) not in _COUNTS:
            findings.problems.append(
                place.problem(f"{len(devices)} devices", "HCCL takes 1, 2, 4, 8 or 16 of a server")
            )
        elif reason := topology_problem(devices, rules.topology):
            findings.problems.append(place.problem("cannot talk to each other", reason))
    return devices
