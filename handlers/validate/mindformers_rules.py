"""What MindFormers needs of a configuration, and what glmd can merge afterwards.

Read in the sources of MindFormers 0.8 and MindSpore 2.0; `run_mindformer.py` is started with `--use_parallel=True`.
"""

import posixpath
from dataclasses import dataclass
from typing import Literal

from handlers.devices import format_devices
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.validate.document import Place
from handlers.validate.glmd_section import GlmdSection
from handlers.validate.problem import Findings, quoted
from handlers.validate.strategy_rules import check_strategy_files

TRAINING = ("train", "finetune")
Target = Literal["Ascend", "CPU"]
MODES = {"DATA_PARALLEL": 0, "SEMI_AUTO_PARALLEL": 1, "AUTO_PARALLEL": 2, "HYBRID_PARALLEL": 3}
"""The names that MindFormers takes for the numbers; it knows them in capitals only."""

_LARGEST = 10**9


@dataclass(frozen=True)
class Parallel:
    """How the ranks share the work."""

    mode: int
    """0 data parallel, 1 semi-auto parallel, 2 auto parallel, 3 hybrid parallel."""
    data: int
    model: int
    stages: int
    ranks: int
    """0 where they are not known."""
    target: Target

    @property
    def by_strategy(self) -> bool:
        """Whether MindSpore cuts the network and writes strategy files."""
        return self.mode in {1, 2}


def whole(parent: Place | None, key: str, default: int, findings: Findings, least: int = 1) -> int:
    """Return the whole number under `key`, or `default` where there is none or (a problem then) no fitting one."""
    place = None if parent is None else parent.get(key)
    if place is None:
        return default
    number = place.data
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= _LARGEST:
        findings.problems.append(place.problem(f"{quoted(number)} is not a whole number from {least} on"))
        return default
    return number


def is_true(root: Place, *keys: str) -> bool:
    """Return whether the value under `keys` is True."""
    place = root.get(*keys)
    return place is not None and place.data is True


def check_parts(root: Place, findings: Findings, version: Version = OF_GLM_6B) -> None:
    """Find what no training goes without, and what a job cannot have."""
    for key in ("trainer", "model", "runner_config", "parallel", "parallel_config"):
        part = root.get(key)
        if part is None:
            findings.problems.append(
                root.missing(key, "is this a MindFormers configuration?" if key == "model" else "")
            )
        elif not isinstance(part.data, dict):
            findings.problems.append(part.problem(f"{quoted(part.data)} is not a mapping"))
    whole(root.get("runner_config"), "epochs", 1, findings)
    if base := root.get("base_config"):
        hint = "a job runs from a copy of this file alone: write the whole configuration in it"
        findings.problems.append(base.problem("other files are not taken in", hint))
    if is_true(root, "only_save_strategy"):
        hint = "MindFormers ends before it trains, and no checkpoint comes of it"
        findings.problems.append(root["only_save_strategy"].problem("True leaves nothing to merge", hint))
    _check_output(root, findings)
    check_strategy_files(root, findings, version)


def _check_output(root: Place, findings: Findings) -> None:
    if output := root.get("output_dir"):
        path = output.data
        inside = isinstance(path, str) and not path.startswith(("/", "~")) and ".." not in path.split("/")
        if not inside:
            hint = "every job has an output of its own in its directory: leave it at ./output"
            findings.problems.append(output.problem(f"{quoted(path)} lies outside the job", hint))
        elif posixpath.normpath(str(path)) not in {"output", "."}:
            findings.warnings.append(output.problem("is not looked at", "the job writes to its own output/"))


def check_run_mode(root: Place, section: GlmdSection, findings: Findings) -> str:
    """Return `train` or `finetune`: what the section says, or else the file."""
    if section.run_mode:
        return section.run_mode
    place = root.get("run_mode")
    if place is None:
        findings.problems.append(root.missing("run_mode", "train or finetune, here or in the glmd: section"))
    elif place.data not in TRAINING:
        findings.problems.append(place.problem(f"{quoted(place.data)} is no training", "glmd runs train and finetune"))
    else:
        return str(place.data)
    return "train"


def check_device_target(root: Place, findings: Findings) -> Target:
    """Return what the ranks run on, Ascend where nothing is said."""
    place = root.get("context", "device_target")
    if place is not None and place.data == "CPU":
        return "CPU"
    if place is not None and place.data != "Ascend":
        hint = "Ascend, or CPU for a rehearsal"
        findings.problems.append(place.problem(f"{quoted(place.data)} is not supported", hint))
    return "Ascend"


def check_parallel(root: Place, devices: tuple[int, ...], target: Target, findings: Findings) -> Parallel:
    """Return how the ranks share the work; `devices` are empty where they are not known."""
    config = root.get("parallel_config")
    parallel = Parallel(
        mode=_mode(root, findings),
        data=whole(config, "data_parallel", 1, findings),
        model=whole(config, "model_parallel", 1, findings),
        stages=whole(config, "pipeline_stage", 1, findings),
        ranks=len(devices),
        target=target,
    )
    if config is None:
        return parallel
    if parallel.by_strategy:
        if devices and parallel.data * parallel.model * parallel.stages != len(devices):
            _add_product_problem(config, parallel, devices, findings)
        if target == "CPU":
            hint = "MindSpore cuts networks on Ascend only; glmd's own rehearsal stands in for it on a CPU"
            findings.warnings.append(root["parallel"].key_problem("is not data parallel", hint))
    elif parallel.model > 1:
        hint = "with parallel_mode 0 each rank holds the whole model; set parallel_mode: 1 to cut it"
        findings.warnings.append(config["model_parallel"].problem(f"{parallel.model} has no effect", hint))
    _check_stages(config, parallel, findings)
    return parallel


def _mode(root: Place, findings: Findings) -> int:
    place = root.get("parallel", "parallel_mode")
    if place is None:
        return 0
    value = place.data
    mode = MODES.get(value.upper()) if isinstance(value, str) else value
    if not isinstance(mode, int) or isinstance(mode, bool) or mode not in MODES.values():
        hint = "0 data parallel, 1 semi-auto parallel, 2 auto parallel"
        findings.problems.append(place.problem(f"{quoted(value)} is not supported", hint))
        return 0
    if isinstance(value, str) and value not in MODES:
        hint = f"MindFormers knows these names in capitals: {value.upper()}, or {mode}"
        findings.problems.append(place.problem(f"{quoted(value)} is not known", hint))
    elif mode == MODES["HYBRID_PARALLEL"]:
        hint = "it writes slices without saying how they were cut: use 1, semi-auto parallel"
        findings.problems.append(place.problem("merging hybrid parallel shards is not in this version of glmd", hint))
    return mode


def _add_product_problem(config: Place, parallel: Parallel, devices: tuple[int, ...], findings: Findings) -> None:
    factors = {"model_parallel": parallel.model, "data_parallel": parallel.data, "pipeline_stage": parallel.stages}
    product = parallel.data * parallel.model * parallel.stages
    hint = (
        f"data_parallel {parallel.data} × model_parallel {parallel.model} × pipeline_stage {parallel.stages}"
        f" = {product}, but devices {format_devices(devices)} are {len(devices)}"
    )
    many = f"{len(devices)} device" + "s" * (len(devices) > 1)
    for key, factor in factors.items():
        if factor > 1:
            findings.problems.append(config[key].problem(f"{factor} does not fit {many}", hint))
            return
    findings.problems.append(config.problem(f"uses one of {many}", hint))


def _check_stages(config: Place, parallel: Parallel, findings: Findings) -> None:
    if parallel.stages == 1:
        return
    stages = config["pipeline_stage"]
    if not parallel.by_strategy:
        findings.problems.append(stages.problem(f"{parallel.stages} needs parallel_mode 1 or 2"))
    if (micro := whole(config, "micro_batch_num", 1, findings)) < parallel.stages:
        place = config.get("micro_batch_num") or stages
        message = f"micro_batch_num {micro} is less than pipeline_stage {parallel.stages}"
        findings.problems.append(place.problem(message))
