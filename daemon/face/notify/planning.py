"""Makes the plan of notifications of the settings. Importing it takes the memory that the plan exists to save."""

import platform

from daemon.core.night_hours import NightHours
from daemon.core.notify_settings import DestinationSettings, credential_in
from daemon.core.settings import load_settings
from daemon.face.notify.credentials import Credentials
from daemon.face.notify.plan import Destination, Files, Limit, Plan
from daemon.face.notify.senders.address import Webhook, address_of
from daemon.face.words.language import Language
from handlers.errors import BadInputError


def read_plan(files: Files) -> Plan:
    """Return what the settings say of notifications. Raises SettingsError."""
    settings = load_settings(files.settings, files.root)
    credentials = Credentials(files.credentials)
    notify = settings.notify
    return Plan(
        root=settings.root,
        host=platform.node(),
        night=settings.night,
        morning=notify.morning,
        heartbeat=credential_in(notify.heartbeat),
        destinations=tuple(_destination(one, credentials) for one in notify.destinations),
        log_format=settings.log.format.value,
        log_level=settings.log.level.value,
        page=settings.web.url or "",
        hide=settings.web.hide,
    )


_GROUP = 60.0
"""Seconds."""
_MOST = Limit(10, 3600.0)


def _destination(settings: DestinationSettings, credentials: Credentials) -> Destination:
    is_webhook = _is_webhook(settings, credentials)
    return Destination(
        name=settings.name,
        credential=credential_in(settings.url),
        secret=credential_in(settings.secret),
        language=Language(settings.language),
        is_webhook=is_webhook,
        kinds=settings.events,
        jobs=settings.jobs,
        quiet=None if settings.quiet is None else NightHours.parse(settings.quiet),
        group=(0.0 if is_webhook else _GROUP) if settings.group is None else settings.group,
        most=_limit(settings, None if is_webhook else _MOST),
    )


def _limit(settings: DestinationSettings, default: Limit | None) -> Limit | None:
    if settings.most is None:
        return default
    return None if settings.most == "off" else Limit(*settings.most)


def _is_webhook(settings: DestinationSettings, credentials: Credentials) -> bool:
    try:
        return isinstance(address_of(credentials.read(credential_in(settings.url)).reveal()), Webhook)
    except BadInputError:  # each try to send says so
        return False
