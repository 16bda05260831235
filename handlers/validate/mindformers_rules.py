"""What MindFormers needs of a configuration, and what glmd can merge afterwards.

Rules that differ between versions ask the dialect of the MindFormers that is to run the file; the others hold from 0.6
on. `run_mindformer.py` is started with `--use_parallel=True`.
"""

import math
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from handlers.codes import Code
from handlers.mindformers.dialect import Dialect
from handlers.validate.document import Place
from handlers.validate.glmd_section import GlmdSection
from handlers.validate.problem import Findings, quoted
from handlers.validate.strategy_rules import check_strategy_files

TRAINING = ("train", "finetune")
Target = Literal["Ascend", "CPU"]
MODES = {"DATA_PARALLEL": 0, "SEMI_AUTO_PARALLEL": 1, "AUTO_PARALLEL": 2, "HYBRID_PARALLEL": 3}
"""The names that MindFormers takes for the numbers; it knows them in capitals only."""

_LARGEST = 10**9
_CONTEXT = "context_parallel"
_PARTS = ("trainer", "model", "runner_config", "parallel", "parallel_config")


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
    context: int = 1
    """Over how many ranks a sequence is cut; they hold the same weights."""

    @property
    def product(self) -> int:
        """How many ranks a cut network takes."""
        return self.data * self.model * self.context * self.stages

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
        findings.problems.append(
            place.problem(Code.CONFIG_NUMBER, f"{quoted(number)} is not a whole number from {least} on")
        )
        return default
    return number


def is_true(root: Place, *keys: str) -> bool:
    """Return whether the value under `keys` is True."""
    place = root.get(*keys)
    return place is not None and place.data is True


def sinks(root: Place, dialect: Dialect) -> bool:
    """Return whether the data are sunk."""
    if root.get("runner_config", "sink_mode") is None:
        return dialect.sink_mode
    return is_true(root, "runner_config", "sink_mode")


def sink_size(root: Place, dialect: Dialect) -> int:
    """Return how many steps one sink has, where data are sunk; -1 stands for a pass over the data."""
    size = root.get("runner_config", "sink_size")
    if size is None:
        return dialect.sink_size or -1
    return size.data if isinstance(size.data, int) else -1


def check_parts(root: Place, dialect: Dialect, findings: Findings) -> None:
    """Find what no training goes without, and what a job cannot have."""
    for key in _PARTS:
        part = root.get(key)
        if part is None:
            if key in dialect.parts:
                hint = "is this a MindFormers configuration?" if key == "model" else ""
                findings.problems.append(root.missing(key, hint))
        elif not isinstance(part.data, dict):
            findings.problems.append(part.problem(Code.CONFIG_NOT_A_MAPPING, f"{quoted(part.data)} is not a mapping"))
    whole(root.get("runner_config"), "epochs", 1, findings)
    if base := root.get("base_config"):
        hint = "a job runs from a copy of this file only: write the whole configuration in it"
        findings.problems.append(base.problem(Code.CONFIG_BASE_CONFIG, "glmd does not read other files", hint))
    if is_true(root, "only_save_strategy"):
        hint = "MindFormers ends before it trains, and no checkpoint comes of it"
        findings.problems.append(
            root["only_save_strategy"].problem(
                Code.CONFIG_NOTHING_TO_MERGE, "with True there is nothing to merge", hint
            )
        )
    _check_output(root, findings)
    check_strategy_files(root, dialect, findings)


def _check_output(root: Place, findings: Findings) -> None:
    if output := root.get("output_dir"):
        path = output.data
        inside = isinstance(path, str) and not path.startswith(("/", "~")) and ".." not in path.split("/")
        if not inside:
            hint = "every job has an output of its own in its directory: leave it at ./output"
            findings.problems.append(
                output.problem(Code.CONFIG_OUTPUT_DIR, f"{quoted(path)} lies outside the job", hint)
            )
        elif posixpath.normpath(str(path)) not in {"output", "."}:
            findings.warnings.append(
                output.problem(Code.CONFIG_OUTPUT_DIR, "is not looked at", "the job writes to its own output/")
            )


def check_run_mode(root: Place, section: GlmdSection, findings: Findings) -> str:
    """Return `train` or `finetune`: what the section says, or else the file."""
    if section.run_mode:
        return section.run_mode
    place = root.get("run_mode")
    if place is None:
        hint = "train or finetune, here or in the glmd: section"
        findings.problems.append(root.missing("run_mode", hint, Code.CONFIG_RUN_MODE))
    elif place.data not in TRAINING:
        findings.problems.append(
            place.problem(Code.CONFIG_RUN_MODE, f"{quoted(place.data)} is no training", "glmd runs train and finetune")
        )
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
        findings.problems.append(
            place.problem(Code.CONFIG_DEVICE_TARGET, f"{quoted(place.data)} is not supported", hint)
        )
    return "Ascend"


def check_parallel(
    root: Place, ranks: int, target: Target, dialect: Dialect, findings: Findings, devices: str = ""
) -> Parallel:
    """Return how the ranks share the work; `ranks` is how many there are, 0 where that is not known.

    `told` is what makes them so many: `devices [0,8)`.
    """
    config = root.get("parallel_config")
    factors = {key: whole(config, key, 1, findings) for key in dialect.factors}
    parallel = Parallel(
        mode=_mode(root, dialect, findings),
        data=factors["data_parallel"],
        model=factors["model_parallel"],
        stages=factors["pipeline_stage"],
        ranks=ranks,
        target=target,
        context=factors.get(_CONTEXT, 1),
    )
    if parallel.by_strategy:
        if ranks and parallel.product != ranks:
            _add_product_problem(root, factors, ranks, devices, findings)
        if target == "CPU":
            hint = "MindSpore cuts networks on Ascend only; glmd's own rehearsal stands in for it on a CPU"
            place = root.get("parallel")
            code = Code.CONFIG_PARALLEL_ON_CPU
            problem = (
                place.key_problem(code, "is not data parallel", hint) if place else root.missing("parallel", hint, code)
            )
            findings.warnings.append(problem)
    if config is None:
        return parallel
    if parallel.context > 1 and parallel.by_strategy and dialect.context_needs_flash_attention:
        _check_attention(root, config[_CONTEXT], dialect, findings)
    if not parallel.by_strategy:
        for key in {"model_parallel", _CONTEXT} & factors.keys():
            if factors[key] > 1:
                hint = "with parallel_mode 0 each rank holds the whole model; to cut it, set parallel_mode: 1"
                findings.warnings.append(
                    config[key].problem(Code.CONFIG_NO_EFFECT, f"{factors[key]} has no effect", hint)
                )
    _check_stages(config, parallel, findings)
    return parallel


def _check_attention(root: Place, context: Place, dialect: Dialect, findings: Findings) -> None:
    if not is_true(root, "model", "model_config", "use_flash_attention"):
        hint = f"MindFormers {dialect.name} cuts sequences with the model's use_flash_attention: True only"
        findings.problems.append(context.problem(Code.CONFIG_MODEL_CUT, f"{context.data} is not possible", hint))


def _mode(root: Place, dialect: Dialect, findings: Findings) -> int:
    place = root.get("parallel", "parallel_mode")
    if place is None:
        part = root.get("parallel")
        if dialect.parallel_mode is None and part is not None and isinstance(part.data, dict):
            hint = f"MindFormers {dialect.name} does not start without it: 0 data parallel, 1 semi-auto parallel"
            findings.problems.append(part.missing("parallel_mode", hint))
        return dialect.parallel_mode or 0
    value = place.data
    mode = MODES.get(value.upper()) if isinstance(value, str) else value
    if not isinstance(mode, int) or isinstance(mode, bool) or mode not in MODES.values():
        hint = "0 data parallel, 1 semi-auto parallel, 2 auto parallel"
        findings.problems.append(place.problem(Code.CONFIG_PARALLEL_MODE, f"{quoted(value)} is not supported", hint))
        return 0
    if isinstance(value, str) and value not in MODES:
        hint = f"MindFormers knows these names in capitals: {value.upper()}, or {mode}"
        findings.problems.append(place.problem(Code.CONFIG_PARALLEL_MODE, f"{quoted(value)} is not known", hint))
    elif mode == MODES["HYBRID_PARALLEL"]:
        hint = "it writes slices, and no file says how they are cut: use 1, semi-auto parallel"
        findings.problems.append(
            place.problem(
                Code.CONFIG_PARALLEL_MODE, "merging hybrid parallel shards is not in this version of glmd", hint
            )
        )
    return mode


def _add_product_problem(root: Place, factors: Mapping[str, int], ranks: int, devices: str, findings: Findings) -> None:
    """Say that the ranks are not the devices, at the factor that is most likely wrong: the first above 1."""
    terms = " × ".join(f"{key} {factor}" for key, factor in factors.items())
    hint = f"{terms} = {math.prod(factors.values())}, but {devices} are {ranks}"
    many = f"{ranks} device" + "s" * (ranks > 1)
    config = root.get("parallel_config")
    if config is None:
        findings.problems.append(root.missing("parallel_config", hint, Code.CONFIG_PARALLEL_PRODUCT))
        return
    for key in sorted(factors, key=lambda key: key != "model_parallel"):  # cut weights first
        if factors[key] > 1:
            findings.problems.append(
                config[key].problem(Code.CONFIG_PARALLEL_PRODUCT, f"{factors[key]} does not fit {many}", hint)
            )
            return
    findings.problems.append(config.problem(Code.CONFIG_PARALLEL_PRODUCT, f"uses one of {many}", hint))


def _check_stages(config: Place, parallel: Parallel, findings: Findings) -> None:
    if parallel.stages == 1:
        return
    stages = config["pipeline_stage"]
    if not parallel.by_strategy:
        findings.problems.append(
            stages.problem(Code.CONFIG_PIPELINE_STAGES, f"{parallel.stages} needs parallel_mode 1 or 2")
        )
    if (micro := whole(config, "micro_batch_num", 1, findings)) < parallel.stages:
        place = config.get("micro_batch_num") or stages
        message = f"micro_batch_num {micro} is less than pipeline_stage {parallel.stages}"
        findings.problems.append(place.problem(Code.CONFIG_PIPELINE_STAGES, message))
