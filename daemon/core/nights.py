"""When the nightly cycles of the settings run, and what their YAMLs are made by."""

from collections.abc import Sequence
from pathlib import Path

from daemon.core.crontab import CrontabError, parse
from daemon.core.schedule import Schedule, zone_named
from daemon.core.setting_sections import IfUnchanged, NightlySettings
from daemon.core.settings import SettingsError
from handlers.codes import Code
from handlers.nightly import Recipe


def schedule_of(settings: NightlySettings) -> Schedule:
    """Return when a cycle runs. Raises SettingsError when its cron expression or zone makes no sense."""
    try:
        crontab = parse(settings.cron)
    except CrontabError as error:
        raise SettingsError(f"nightly {settings.name}: cron {settings.cron!r}: {error}", Code.NIGHT_CRON) from error
    try:
        zone = None if settings.timezone is None else zone_named(settings.timezone)
    except ValueError as error:
        raise SettingsError(f"nightly {settings.name}: timezone: {error}", Code.NIGHT_TIMEZONE) from error
    return Schedule(crontab, zone)


def recipe_of(settings: NightlySettings, allowed: Sequence[Path]) -> Recipe:
    """Return what each YAML of a cycle is made by; `allowed` is where its inputs may lie."""
    return Recipe(
        name=settings.name,
        template=settings.template,
        devices=settings.devices,
        continue_from=settings.continue_from,
        inputs=settings.inputs,
        allowed=tuple(allowed),
        may_skip=settings.if_unchanged is IfUnchanged.SKIP,
    )
