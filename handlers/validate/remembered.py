"""What a check found, as checked.json keeps it; and what of it is looked at again before the next step."""

from pathlib import Path

from handlers.ckpt.planning.lora import LoraScale
from handlers.mindformers.dialect import DIALECTS
from handlers.mindformers.foreign_code import ForeignCode
from handlers.records.checked import MOST_LOOKS, Checked, CodeLook, DiskLook, PathLook, Wanted
from handlers.validate.allowed_paths import not_allowed
from handlers.validate.check import CheckedConfig, Rules, wrong_devices
from handlers.validate.code_rules import code_looks, not_allowed_code
from handlers.validate.disk_estimate import too_little
from handlers.validate.document import parse
from handlers.validate.glmd_section import GlmdSection
from handlers.validate.input_paths import problem_with
from handlers.validate.problem import ConfigError


def as_record(checked: CheckedConfig, digest: str) -> Checked | None:
    """Return what `check` found in the file with this digest; None where that is too much to be kept."""
    if len(checked.looks) > MOST_LOOKS:
        return None
    scale = checked.lora_scale
    return Checked(
        digest=digest,
        mindformers=checked.mindformers,
        against=checked.against,
        dialect=checked.dialect.name,
        section=checked.section.model_dump(mode="json", exclude_unset=True),
        devices=checked.devices,
        nodes=checked.nodes,
        devices_per_node=checked.devices_per_node,
        devices_at=checked.devices_at,
        run_mode=checked.run_mode,
        prefix=checked.prefix,
        device_target=checked.device_target,
        parallel_mode=checked.parallel_mode,
        needs_strategy=checked.needs_strategy,
        cuts_weights=checked.cuts_weights,
        saves_iterations=checked.saves_iterations,
        sink_size=checked.sink_size,
        stages=checked.stages,
        lora_alpha=scale.alpha if scale else None,
        lora_rank=scale.rank if scale else None,
        paths=tuple(look for look in checked.looks if isinstance(look, PathLook)),
        disk=next((look for look in checked.looks if isinstance(look, DiskLook)), None),
        code=tuple(look for look in checked.looks if isinstance(look, CodeLook)),
        register_path=None if checked.register_path is None else str(checked.register_path),
    )


def from_record(record: Checked, config: bytes) -> CheckedConfig:
    """Return what was found, with `config`, what runs. Raises ValueError where an older or newer glmd found it.

    What the rules of today would say of it is not asked.
    """
    dialect = next((dialect for dialect in DIALECTS if dialect.name == record.dialect), None)
    if dialect is None:
        raise ValueError(f"{record.dialect!r} is no dialect that this version knows")
    code = code_looks(parse(config, "config.yaml", len(config)).root, None) if record.code is None else record.code
    if {look.way for look in code} - set(ForeignCode):
        raise ValueError("this version knows no such code")
    alpha, rank = record.lora_alpha, record.lora_rank
    return CheckedConfig(
        section=GlmdSection.model_validate(record.section),
        devices=record.devices,
        nodes=record.nodes,
        devices_per_node=record.devices_per_node,
        devices_at=record.devices_at,
        run_mode=record.run_mode,
        prefix=record.prefix,
        dialect=dialect,
        device_target=record.device_target,
        parallel_mode=record.parallel_mode,
        needs_strategy=record.needs_strategy,
        cuts_weights=record.cuts_weights,
        saves_iterations=record.saves_iterations,
        config=config,
        warnings=(),
        sink_size=record.sink_size,
        stages=record.stages,
        against=record.against,
        mindformers=record.mindformers,
        lora_scale=None if alpha is None or rank is None else LoraScale(alpha, rank),
        looks=(*record.paths, *((record.disk,) if record.disk else ()), *code),
        register_path=None if record.register_path is None else Path(record.register_path),
    )


def look_again(checked: CheckedConfig, name: str, rules: Rules) -> None:
    """Look at what may have changed on this host since the file `name` was checked.

    These are the paths that it names, the free disk, the devices, and whether foreign code may run. Raises ConfigError
    with everything that is wrong.
    """
    paths = [look for look in checked.looks if isinstance(look, PathLook)]
    found = [
        None if checked.nodes else wrong_devices(checked.devices, rules, checked.device_target, checked.devices_at),
        *not_allowed((look for look in paths if look.wanted is Wanted.ALLOWED), rules.allowed),
        *(problem_with(look) for look in paths if look.wanted is not Wanted.ALLOWED),
        *not_allowed_code((look for look in checked.looks if isinstance(look, CodeLook)), rules.code),
        *(too_little(look, rules.disk) for look in checked.looks if isinstance(look, DiskLook) and rules.disk),
    ]
    if problems := [problem for problem in found if problem is not None]:
        raise ConfigError(name, problems, checked.against)
