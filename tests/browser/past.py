"""A root with something to be seen on each page: a failure, a job that is done, one rejected, hostile words."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

from daemon.core.states import State
from daemon.face.web import app
from tests.acceptance.house import CONFIG, House

FAILED, DONE, REJECTED, HOSTILE = 1, 2, 3, 4
HOSTILE_WORDS = (
    '</script><script>window.ran=1</script><img src=x onerror="window.ran=2">'
    "'\"&amp;{{7*7}}\u202eevil\u2066 \x1b[31mred"
    " javascript:window.ran=3"
)
PLACES = {"{night}": [f"{datetime.now(UTC):%Y-%m-%d}"]}
"""What stands for other places than a job's number in addresses of pages."""
OF_JOBS = {"/jobs/{job}": (FAILED, DONE, REJECTED), "/jobs/{job}/failure": (FAILED, HOSTILE)}
"""The jobs whose pages are looked at; of other pages that of the failed one."""
REFUSED = ("/jobs/99", "/nothing-here")
"""Addresses at which nothing is: a browser's console says so."""
MORE = (
    ("/compare", "/compare?jobs=1,2"),
    ("/jobs/{job}/log", f"/jobs/{FAILED}/log?rank=1"),
    ("/jobs/{job}/config", f"/jobs/{DONE}/config?with={FAILED}"),
    ("/jobs/{job}/output", f"/jobs/{DONE}/output"),
    ("/jobs", "/jobs?state=failed"),
)
"""Of a page of app.PAGES, another address at which it looks otherwise."""


def addresses() -> list[str]:
    """Return an address of every page, and of those that differ by what there is to show."""
    found = [*REFUSED, *(address for path, address in MORE if path in app.PAGES)]
    for path in app.PAGES:
        jobs = OF_JOBS.get(path, (FAILED,)) if "{job}" in path else (0,)
        found += [path.replace("{job}", str(job)) for job in jobs]
    for place, values in PLACES.items():
        found = [path.replace(place, value) for path in found for value in (values if place in path else [""])]
    assert not any("{" in path for path in found), f"PLACES lacks one of {found}"
    return found


def furnish(house: House) -> None:
    """Let all of that have happened. The daemon is down then."""
    house.environment(STANDIN_FAIL="1")
    house.start()
    house.drop("fails.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + "  resume: {attempts: 0}\n")
    house.until(State.FAILED, FAILED)
    house.stop()
    house.environment()
    house.start()
    house.drop("whole.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + "# another\n")
    house.until(State.DONE, DONE)
    house.drop("wrong.yaml", text="a: [")
    house.until(State.REJECTED, REJECTED)
    house.stop()
    _hostile(house)


def _hostile(house: House) -> None:
    """Let a job, its record and its rank's log say what would run where a page forgets to escape."""
    with closing(sqlite3.connect(house.root / "glmd.db")) as store, store:
        names = [row[1] for row in store.execute("PRAGMA table_info(jobs)") if row[1] != "id"]
        columns = ", ".join(names)
        values = ", ".join({"name": "?", "reason": "?", "claim": "'hostile'"}.get(name, name) for name in names)
        words = (HOSTILE_WORDS.replace("/", "|"), HOSTILE_WORDS)
        copy = f"INSERT INTO jobs (id, {columns}) SELECT {HOSTILE}, {values} FROM jobs WHERE id = {FAILED}"  # noqa: S608
        store.execute(copy, words)
    failed = house.directory(FAILED)
    path = house.directory(HOSTILE)
    path.path.parent.mkdir(exist_ok=True)
    record = next(failed.path.glob("attempts/*/train/exit.json"))
    told = json.loads(record.read_text())
    told["first"]["line"] = HOSTILE_WORDS
    for process in told["processes"]:
        process["line"] = HOSTILE_WORDS
    target = path.path / record.relative_to(failed.path)
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(told))
    log = path.rank_log(1)
    log.parent.mkdir(parents=True)
    log.write_text(f"{HOSTILE_WORDS}\n{'x' * (10 << 20)}\n{HOSTILE_WORDS}\n")
