"""What the page knows, for programs: the keys of the commands' --json, versioned by the path, bounded and in pages."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from starlette.responses import Response

from daemon.face.status import detail, job_as_json, overview
from daemon.face.web.asking import Asked
from daemon.face.web.daemon_word import daemon_word
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.night_reads import read_night
from daemon.face.web.views import compare as view_of_comparison
from daemon.face.web.views import devices as view_of_devices
from daemon.face.web.views.jobs import page_of, wanted_jobs
from daemon.face.web.views.night import wanted_night
from daemon.face.web.views.nights import month_of, read_month
from handlers.printable import to_json

SIZE = 50
MOST = 500
"""Of anything that is listed."""
_ROWS = 1_000
"""Of a training, for its figures: a tenth of what the command takes, which would stay in memory as 4 MB."""


def overview_of_now(asked: Asked) -> Response:
    """Return the keys of `glmd status --json`. Raises NotThereError, StoreError, OSError."""
    root = asked.site.root
    with open_store(asked):  # it is there
        found = overview(root.path, root.store, daemon_word(root).status_word)
    return answer({key: list(value) if isinstance(value, Iterator) else value for key, value in found.as_json()}, asked)


def jobs(asked: Asked) -> Response:
    """Return the jobs of a page, with what to ask for the next ones. Raises NotThereError, StoreError."""
    wanted = wanted_jobs(asked)
    with open_store(asked) as store:
        found = page_of(store, wanted, asked.number("size", 1, MOST, SIZE), asked)
    root = asked.site.root.path
    listed = [job_as_json(job, job.directory(root).path) for job in found.jobs]
    return answer({"jobs": listed, "after": found.newer, "before": found.older}, asked)


def job(asked: Asked) -> Response:
    """Return the keys of `glmd status JOB --json`. Raises NotThereError, StoreError, OSError."""
    with open_store(asked) as store:
        return answer(detail(store, job_of(store, asked), asked.site.root.path, _ROWS).as_json(), asked)


def night(asked: Asked) -> Response:
    """Return the keys of `glmd night --json`, of each list its beginning. Raises NotThereError, StoreError."""
    wanted = wanted_night(asked)
    with open_store(asked):  # it is there
        found = read_night(asked.site, wanted)
    return answer(_bounded(dict(found.digest.as_json())), asked)


def nights(asked: Asked) -> Response:
    """Return the keys of `glmd nights --json`, of a month. Raises NotThereError, StoreError."""
    now = datetime.now(UTC)
    month = month_of(asked, now)
    with open_store(asked) as store:
        notices = [notice.as_json() for notice in store.notices()]
    cycles = [_bounded(cycle.as_json()) for cycle in read_month(asked, month, now)]
    content = {"since": month.since.isoformat(), "until": month.last.isoformat(), "cycles": cycles, "notices": notices}
    return answer(_bounded(content), asked)


def devices(asked: Asked) -> Response:
    """Return who holds each device, who did in the last day, and how each is. Raises StoreError."""
    found = view_of_devices.read_devices(asked.site)
    heard = view_of_devices.heard_of(asked)
    listed = [
        {
            "device": device,
            "job": found.held.get(device),
            "rank": found.rank(device),
            "spells": [spell.as_json() for spell in found.spells if device in spell.job.devices][:MOST],
            "use": None if heard is None or device not in heard.devices else heard.devices[device].as_json(),
        }
        for device in found.devices
    ]
    content = {"from": found.since.isoformat(), "to": found.now.isoformat(), "devices": listed}
    through = [job.id for job in found.elsewhere[:MOST]]
    return answer({**content, "through_slurm": through, "exporter": None if heard is None else heard.as_json()}, asked)


def compare(asked: Asked) -> Response:
    """Return the keys of `glmd compare --json`. Raises NotThereError, StoreError, OSError."""
    return answer(view_of_comparison.as_json(asked), asked)


def answer(content: Mapping[str, object], asked: Asked) -> Response:
    """Return JSON without what is not shown."""
    return Response(to_json(asked.site.hidden.in_json(content), indent=None), media_type="application/json")


def _bounded(content: Mapping[str, object]) -> dict[str, object]:
    """Return these keys with of each list its beginning, and how much of which was left out."""
    long = {key: len(value) - MOST for key, value in content.items() if isinstance(value, list) and len(value) > MOST}
    cut = {key: value[:MOST] if isinstance(value, list) else value for key, value in content.items()}
    return {**cut, "left_out": long} if long else cut
