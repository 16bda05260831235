"""standing.json: how the outbox stands, for anyone who watches glmd and may not read the outbox itself.

glmd-notify's state is nobody's but its own (DynamicUser=); its RuntimeDirectory= is there while it runs, and anybody
may read it. No message, address or secret is told: names of destinations, and counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import publish_bytes
from handlers.codes import Code
from handlers.errors import HandlerError

NAME = "standing.json"
DIRECTORY = Path("/run/glmd-notify")
_FORMAT = 1
_MOST_BYTES = 1 << 16


class StandingError(HandlerError):
    """standing.json is not what a glmd-notify of this version writes."""

    code = Code.NOTIFY_OUTBOX


@dataclass(frozen=True)
class Counts:
    """What there is for one destination."""

    messages: Mapping[str, int]
    """By state, of the last 30 days."""
    oldest_pending: datetime | None = None


@dataclass(frozen=True)
class Standing:
    """How an outbox stands."""

    root: Path
    """Of whose jobs it tells."""
    destinations: Mapping[str, Counts]

    def publish(self, directory: Path) -> None:
        """Write it, for everybody to read. Raises OSError."""
        destinations = {
            name: {
                "messages": dict(one.messages),
                "oldest_pending": None if one.oldest_pending is None else one.oldest_pending.isoformat(),
            }
            for name, one in self.destinations.items()
        }
        content = json.dumps({"format": _FORMAT, "root": str(self.root), "destinations": destinations})
        publish_bytes(directory / NAME, content.encode(), mode=0o644, lasting=False)


def read_standing(directory: Path) -> Standing | None:
    """Read it; None where no glmd-notify runs. Raises OSError, StandingError."""
    path = directory / NAME
    try:
        return _standing(json.loads(read_bounded(path, _MOST_BYTES)))
    except FileNotFoundError:
        return None
    except (DamagedFileError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StandingError(f"{path}: not what this glmd writes; systemctl restart glmd-notify") from error


def _standing(content: Mapping[str, object]) -> Standing:
    destinations = content["destinations"]
    if content["format"] != _FORMAT or not isinstance(destinations, dict):
        raise ValueError("another format")
    return Standing(Path(str(content["root"])), {name: _counts(one) for name, one in destinations.items()})


def _counts(content: Mapping[str, object]) -> Counts:
    messages, oldest = content["messages"], content["oldest_pending"]
    if not isinstance(messages, dict) or not all(type(count) is int for count in messages.values()):
        raise TypeError("no counts")
    return Counts(messages, None if oldest is None else datetime.fromisoformat(str(oldest)))
