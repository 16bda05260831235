"""When the nightly cycles of the settings run."""

from daemon.core.crontab import CrontabError, parse
from daemon.core.schedule import Schedule, zone_named
from daemon.core.settings import NightlySettings, SettingsError
from handlers.codes import Code


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
