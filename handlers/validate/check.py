"""Checks a dropped YAML before it becomes a job: all problems at once, each with its line and column."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from handlers.ckpt.planning.lora import LoraScale
from handlers.codes import Code
from handlers.mindformers.dialect import DIALECTS, NEWEST_READ, Dialect, dialect_of
from handlers.mindformers.foreign_code import ForeignCode
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.rank_table.topology import Topology, topology_note, topology_problem
from handlers.records.checked import CodeLook, DiskLook, PathLook, Spot
from handlers.slurm.placement import Site
from handlers.units.devices import bracket_hint, format_devices, parse_devices
from handlers.validate.allowed_paths import check_allowed
from handlers.validate.code_rules import check_code
from handlers.validate.data_sets import check_data, check_inputs
from handlers.validate.disk_estimate import check_disk
from handlers.validate.document import MAX_BYTES, Document, Place, parse
from handlers.validate.gate_rules import GateRules, check_gate
from handlers.validate.glmd_section import KEY, GlmdSection, read_section
from handlers.validate.hugging_face_rules import check_hugging_face
from handlers.validate.initial_weights import NoBaseError, check_weights, published_name, weights_to_load
from handlers.validate.lora_rules import check_adapters, check_lora
from handlers.validate.mindformers_rules import (
    Parallel,
    Target,
    check_device_target,
    check_parallel,
    check_parts,
    check_run_mode,
    is_true,
    sink_size,
    sinks,
)
from handlers.validate.model_rules import check_model
from handlers.validate.new_checkpoints import SECTION, check_layouts
from handlers.validate.overrides import Overridden, with_overrides
from handlers.validate.problem import ConfigError, Findings, Problem, agreement, in_order
from handlers.validate.published_form import Loader
from handlers.validate.resuming_rules import check_resuming
from handlers.validate.saving_rules import Saving, check_saving
from handlers.validate.slurm_rules import check_with_slurm
from handlers.validate.slurm_section import check_slurm
from handlers.validate.spots import at, spot
from handlers.validate.version_rules import check_version


@dataclass(frozen=True)
class Rules:
    """What a check goes by besides the file."""

    devices: tuple[int, ...]
    """All that settings list."""
    slurm: int | None = None
    """How many devices of a node a job has that does not say so; None where there is no Slurm."""
    site: Site | None = None
    """Whom to ask whether Slurm can give what a file wishes; None asks nobody."""
    topology: Topology = Topology.ANY
    max_bytes: int = MAX_BYTES
    disk: Path | None = None
    """Where jobs are written; None leaves free disk unchecked."""
    latest: Path | None = None
    """ROOT/latest, for `continue_from: latest`."""
    own: Mapping[str, Path] = field(default_factory=dict)
    """By prefix, where that lies which the file's own nightly cycle has promoted last."""
    allowed: tuple[Path, ...] = (Path("/"),)
    """What a file may name paths in."""
    version: Version | None = OF_GLM_6B
    """Of the MindFormers that is to run the file; None where it is not known: what its versions do not agree upon is a
    warning then."""
    against: str = ""
    """What people are told of that version: `MindFormers 0.8.0 (/opt/mindformers)`."""
    gate: GateRules = field(default_factory=GateRules)
    """What may become `latest`."""
    code: frozenset[ForeignCode] = frozenset()
    """How foreign code may come to run."""
    has_register_path: bool = False
    """Whether the settings give every training one."""

    @property
    def known_version(self) -> str | None:
        """The version as text; None where it is not known."""
        return None if self.version is None else str(self.version)


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
    """Of the MindFormers that is to run it; where that is not known, the oldest that takes the file."""
    device_target: Target
    parallel_mode: int
    """0 data parallel, 1 semi-auto parallel, 2 auto parallel."""
    needs_strategy: bool
    """Whether strategy files will come with the shards."""
    cuts_weights: bool
    """Whether MindFormers is to cut whole weights for the ranks (auto_trans_ckpt)."""
    config: bytes
    """What runs: the file byte for byte, without its `glmd:` section; written again where that has overrides."""
    warnings: tuple[Problem, ...]
    devices_at: Spot
    """Where the file says so, or would."""
    nodes: int = 0
    """Of Slurm's, which it runs on; 0 where it runs on this host."""
    devices_per_node: int = 0
    """That it has of each."""
    sink_size: int | None = None
    """Steps of one of MindFormers' epochs with data sinking, -1 for a pass over the data; None without sinking."""
    stages: int | None = None
    """How many pipeline stages there will be; None where that is not known."""
    against: str = ""
    """What people are told of the MindFormers that it was checked against."""
    mindformers: str | None = None
    """Its version; None where that was not known."""
    looks: tuple[PathLook | DiskLook | CodeLook, ...] = ()
    """What may change on this host before it runs."""
    saves_iterations: bool = False
    """Whether saves, and what is loaded, are in MindFormers' new format."""
    lora_scale: LoraScale | None = None
    """How strongly the adapters count, where they are to be merged into their weights."""
    register_path: Path | None = None
    """From where the file's own classes come, for run_mindformer.py."""
    start: datetime | None = None
    """When Slurm would start it, in local time; None where that is not known, or at once."""

    @property
    def ranks(self) -> int:
        """How many processes train: one a device."""
        return self.nodes * self.devices_per_node or len(self.devices)

    @property
    def place(self) -> str:
        """What it runs on, for people."""
        return str(_Share(self.devices, self.nodes, self.devices_per_node))

    @property
    def loader(self) -> Loader:
        """How it loads what was merged."""
        is_cut = self.needs_strategy and self.device_target == "Ascend"
        return Loader(self.dialect, is_cut=is_cut, is_iteration=self.saves_iterations)


def check(content: bytes, name: str, rules: Rules) -> CheckedConfig:
    """Return what the file `name` with these bytes asks for; raises ConfigError with everything that is wrong."""
    overridden = with_overrides(parse(content, name, rules.max_bytes))
    document = overridden.document
    findings = Findings([*document.problems, *overridden.problems])
    config = _config(overridden, rules, findings)
    dialects = DIALECTS if rules.version is None else (dialect_of(rules.version),)
    results = {dialect.name: _check_for(document, rules, dialect) for dialect in dialects}
    # Where the version is not known, problems are what all dialects refuse, and warnings what some do.
    agreed = agreement({name: found for name, (_, found) in results.items()})
    findings.problems.extend(agreed.problems)
    if findings.problems:
        raise ConfigError(name, findings.problems, rules.against)
    # The oldest that takes the file, since glmd began with it; what no release takes may be for a changed checkout.
    best, found = min(results.values(), key=lambda result: len(result[1].problems))
    best = replace(best, config=config, looks=tuple(dict.fromkeys(found.looks)))
    answer = check_with_slurm(document.root, best.section.slurm, best.devices_per_node, rules.site, best.looks)
    if answer.problems:
        raise ConfigError(name, answer.problems, rules.against)
    return replace(best, warnings=in_order([*agreed.warnings, *answer.warnings]), start=answer.start)


def estimated(content: bytes, name: str, rules: Rules) -> int | None:
    """Return how many bytes of disk the file will need, whatever else is wrong with it; None where nobody knows.

    Raises ConfigError for what is no YAML.
    """
    document = with_overrides(parse(content, name, rules.max_bytes)).document
    dialects = DIALECTS if rules.version is None else (dialect_of(rules.version),)
    looks = [look for dialect in dialects for look in _check_for(document, rules, dialect)[1].looks]
    return max((look.bytes for look in looks if isinstance(look, DiskLook)), default=None)


def _check_for(document: Document, rules: Rules, dialect: Dialect) -> tuple[CheckedConfig, Findings]:
    """Return what the file asks for by the rules of one dialect, and what was found; problems make it void.

    `config` and `warnings` are left to the caller.
    """
    root = document.root
    section, wrong, problems = read_section(root)
    findings = Findings([*problems])
    check_parts(root, dialect, findings)
    run_mode = check_run_mode(root, section, findings)
    target = check_device_target(root, findings)
    share = _share(document, section, wrong, rules, target, findings)
    parallel = check_parallel(root, share.ranks, target, dialect, findings, str(share))
    version = rules.version or _newest_of(dialect)
    check_version(root, dialect, version, findings, is_sure=rules.version is not None)
    check_model(root, parallel, findings, version)
    check_adapters(root, findings, version)
    lora_scale = None if "merge" in wrong else check_lora(root, section, parallel, findings, version)
    check_hugging_face(root, section, findings)
    check_allowed(root, rules.allowed, findings)
    register_path = check_code(root, rules.code, rules.version, findings, has_register_path=rules.has_register_path)
    check_data(root, dialect, findings)
    if "inputs" not in wrong:
        check_inputs(root, findings)
    check_gate(root, section.gate, rules.gate, dialect, findings)
    saving = check_saving(root, section, dialect, findings)
    prefix = saving.prefix if saving else ""
    if saving and saving.is_iteration:
        check_layouts(root.get(SECTION) or root.get("use_legacy_format") or root, parallel, findings)
    if saving and saving.steps:
        check_resuming(root, saving.steps, parallel, dialect, findings)
    if "continue_from" not in wrong:
        _check_weights(root, section, saving, run_mode, parallel, rules, dialect, findings)
    if saving:
        check_disk(root, parallel, saving, section.merge, rules.disk, findings)
    checked = CheckedConfig(
        section=section,
        devices=share.devices,
        nodes=share.nodes,
        devices_per_node=share.devices_per_node,
        run_mode=run_mode,
        prefix=prefix,
        dialect=dialect,
        device_target=target,
        parallel_mode=parallel.mode,
        needs_strategy=parallel.by_strategy,
        cuts_weights=is_true(root, "auto_trans_ckpt"),
        config=b"",
        warnings=(),
        sink_size=sink_size(root, dialect) if sinks(root, dialect) else None,
        stages=parallel.stages if parallel.by_strategy else 1,
        against=rules.against,
        mindformers=rules.known_version,
        saves_iterations=saving is not None and saving.is_iteration,
        lora_scale=lora_scale,
        devices_at=devices_at(root),
        register_path=register_path,
    )
    return checked, findings


def _newest_of(dialect: Dialect) -> Version:
    """Return the version that is asked about a file where only the dialect is known."""
    return NEWEST_READ if dialect is DIALECTS[-1] else max(dialect.since, OF_GLM_6B)


def _check_weights(
    root: Place,
    section: GlmdSection,
    saving: Saving | None,
    run_mode: str,
    parallel: Parallel,
    rules: Rules,
    dialect: Dialect,
    findings: Findings,
) -> None:
    published, prefix = None, saving.prefix if saving else ""
    is_iteration = saving is not None and saving.is_iteration
    if published_name(section, prefix):
        try:
            published = weights_to_load(section, prefix, rules.latest, rules.own)
        except NoBaseError as error:
            findings.problems.append(root[KEY]["continue_from"].problem(error.code, error.what, error.hint))
            return
        if published_name(section, prefix) == prefix:  # by its name it is the same, as far as it is looked at here
            section = section.model_copy(update={"continue_from": "latest"})
    check_weights(root, section, run_mode, parallel, published, dialect, findings, is_iteration=is_iteration)


def _config(overridden: Overridden, rules: Rules, findings: Findings) -> bytes:
    """Return what runs; nothing where that cannot be made, which is a problem."""
    try:
        return overridden.config(rules.max_bytes)
    except ConfigError as error:
        findings.problems.extend(error.problems)
        return b""


@dataclass(frozen=True)
class _Share:
    """What a job runs on."""

    devices: tuple[int, ...] = ()
    """Of this host."""
    nodes: int = 0
    devices_per_node: int = 0

    @property
    def ranks(self) -> int:
        """One a device; 0 where they are not known."""
        return self.nodes * self.devices_per_node or len(self.devices)

    def __str__(self) -> str:
        if self.nodes:
            return f"{self.nodes} node{'s' * (self.nodes > 1)} × {self.devices_per_node} devices"
        return f"devices {format_devices(self.devices)}"


def _share(
    document: Document,
    section: GlmdSection,
    wrong: frozenset[str],
    rules: Rules,
    target: Target,
    findings: Findings,
) -> _Share:
    if section.slurm is not None:
        names = section.devices is not None
        devices_per_node = check_slurm(document.root, section.slurm, rules.slurm, findings, names_devices=names)
        return _Share(nodes=section.slurm.nodes, devices_per_node=devices_per_node) if devices_per_node else _Share()
    if {"devices", "slurm"} & wrong:
        return _Share()
    return _Share(_devices(document, section, rules, target, findings))


def _devices(
    document: Document, section: GlmdSection, rules: Rules, target: Target, findings: Findings
) -> tuple[int, ...]:
    """Return the devices that the job runs on, none where they are wrong."""
    devices = rules.devices if section.devices is None else parse_devices(section.devices)
    place = devices_at(document.root)
    if problem := wrong_devices(devices, rules, target, place):
        findings.problems.append(problem)
        return () if problem.code is Code.CONFIG_UNKNOWN_DEVICES else devices
    if target == "Ascend" and (note := topology_note(devices, rules.topology)):
        message = "not every product takes these devices together"
        findings.warnings.append(at(place, Code.CONFIG_DEVICE_TOPOLOGY, message, note))
    return devices


def devices_at(root: Place) -> Spot:
    """Return where problems with the devices are."""
    return spot(root.get(KEY, "devices") or root.get(KEY) or root)


def wrong_devices(devices: tuple[int, ...], rules: Rules, target: Target, place: Spot) -> Problem | None:
    """Return what is wrong with the devices of a job on this host."""
    if not devices:
        return at(place, Code.CONFIG_NO_DEVICES, "no devices", "settings list none, and the file names none")
    if absent := [device for device in devices if device not in rules.devices]:
        there = format_devices(rules.devices) or "none"
        message = f"{format_devices(absent)} are not among this host's devices: {there}"
        hint = bracket_hint(devices, absent).removeprefix("; ")
        return at(place, Code.CONFIG_UNKNOWN_DEVICES, message, hint)
    if target == "Ascend" and (reason := topology_problem(devices, rules.topology)):
        return at(place, Code.CONFIG_DEVICE_TOPOLOGY, "HCCL would not take these devices together", reason)
    return None
