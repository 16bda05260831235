"""A cycle's YAML as it would be dropped now: to be looked at, or to be dropped by hand."""

from datetime import datetime

from daemon.client import submission
from daemon.client.submission import Drop
from daemon.core.nights import recipe_of, schedule_of
from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings
from daemon.core.settings import Settings
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.nightly import Night, filled_in
from handlers.printable import printable


def cycle_named(name: str, settings: Settings) -> NightlySettings:
    """Return the nightly cycle of this name. Raises BadInputError."""
    found = next((cycle for cycle in settings.nightly if cycle.name == name), None)
    if found is None:
        names = ", ".join(cycle.name for cycle in settings.nightly) or "none"
        raise BadInputError(
            f"no nightly cycle is called {printable(name)!r}; the settings have: {names}", Code.USAGE_NOT_THERE
        )
    return found


def tonight(cycle: NightlySettings, settings: Settings, now: datetime) -> Night:
    """Return the YAML of `cycle`'s run of the time `now`, with all placeholders filled in.

    Raises BadInputError as handlers.nightly does, and OSError.
    """
    allowed = (*settings.allowed_paths, settings.root)
    return filled_in(recipe_of(cycle, allowed), schedule_of(cycle).local(now))


def drop_now(night: Night, root: Root) -> Drop:
    """Put a run into the inbox, with the daemon up or down. The name says what it is; see Store.add."""
    return submission.drop(night.content, f"{night.run}.yaml", root)
