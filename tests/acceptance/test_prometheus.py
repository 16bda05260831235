"""Ops are told: a real Prometheus scrapes the real page of a real daemon, and its alerts fire and end.

The alerts are those that are shipped, with their times shortened.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.store import Store
from tests.acceptance.house import CONFIG, House
from tests.browser.serving import Serving
from tests.prometheus import Prometheus

pytestmark = pytest.mark.prometheus

MONITORING = Path(__file__).parents[2] / "monitoring"
QUIET, NO_SUCCESS = "GlmdJobQuiet", "GlmdNightlyNoSuccess"
SHORTER = {
    "0.8 *": "0.05 *",  # of a minute's silence: it is quiet after three seconds
    "6 * 3600": "60",  # after the time of a night
    "offset 6h": "offset 60s",
}


@pytest.fixture
def page(house: House, tmp_path: Path) -> Iterator[Serving]:
    """Return the page, which is to be started."""
    serving = Serving(house.root, tmp_path / "web.log")
    try:
        yield serving
    finally:
        serving.end()


def missed_night(house: House) -> None:
    """Let a cycle have been due two minutes ago, while the daemon was not there."""
    due = datetime.now(UTC) - timedelta(minutes=2)
    cron = f"{due.minute} {due.hour} * * *"
    template = house.data / "night.yaml"
    template.write_text(CONFIG.format(data=house.data, devices="[0,2)") + "  timeout: {silence: 60s}\n")
    house.settings["nightly"] = [
        {"name": "glm", "cron": cron, "timezone": "UTC", "template": str(template), "continue_from": "none"}
    ]
    Root(house.root).create()
    with Store.open(house.root / "glmd.db") as store:
        store.set_last_due("glm", due - timedelta(days=1, minutes=1), cron, "UTC")


def configured(directory: Path, page: Serving) -> str:
    """Return a configuration with the first way of scrape.yml, and shortened alerts."""
    alerts = (MONITORING / "alerts.yml").read_text()
    for long, short in SHORTER.items():
        assert long in alerts
        alerts = alerts.replace(long, short)
    (directory / "alerts.yml").write_text(alerts)
    scrape = YAML(typ="safe").load(MONITORING / "scrape.yml")["scrape_configs"][0]
    assert scrape["static_configs"][0]["targets"] == ["127.0.0.1:8470"]
    scrape["static_configs"][0]["targets"] = [f"127.0.0.1:{page.port}"]
    scrape["scrape_interval"] = "1s"
    intervals = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return json.dumps({"global": intervals, "rule_files": ["alerts.yml"], "scrape_configs": [scrape]})


def test_alerts_fire_and_end(house: House, page: Serving, tmp_path: Path) -> None:
    """A training says nothing, and its night has no success; then it goes on, and both are over."""
    missed_night(house)
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    page.start()
    house.until(State.TRAINING)
    with Prometheus(tmp_path, configured(tmp_path, page)) as prometheus:
        house.wait(lambda: {QUIET, NO_SUCCESS} <= prometheus.firing().keys(), "both alerts fire")
        firing = prometheus.firing()
        (quiet,), (night,) = firing[QUIET], firing[NO_SUCCESS]
        assert (quiet["instance"], quiet["job_id"], quiet["job_name"]) == ("npu01", "1", house.job().name)
        assert quiet["summary"].startswith(f"Job 1 {house.job().name} on npu01 has given no sign of life for ")
        assert night["cycle"] == "glm"
        assert night["summary"].startswith("Cycle glm on npu01: no success for the night of ")
        assert firing.keys() == {QUIET, NO_SUCCESS}
        assert [each["id"] for each in prometheus.query("glmd_device_job_info")] == ["0", "1"]
        assert prometheus.query("glmd_collector_success == 0") == []

        house.gate.touch()
        house.until(State.DONE)
        house.wait(lambda: not {QUIET, NO_SUCCESS} & prometheus.firing().keys(), "both alerts are over")
        assert [each["cycle"] for each in prometheus.query("glmd_nightly_last_success_due_timestamp_seconds")] == [
            "glm"
        ]
        assert prometheus.query("glmd_device_job_info") == []
