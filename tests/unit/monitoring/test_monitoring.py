"""What is shipped for Prometheus and Grafana asks for nothing that there is not, and finds what there is."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from daemon.face.metrics.families import FAMILIES
from daemon.face.metrics.family import Type
from tests.prometheus import Prometheus, run
from tests.unit.daemon.face.metrics.scene import NOW, Scene, parsed

MONITORING = Path(__file__).parents[3] / "monitoring"
ALERTS = YAML(typ="safe").load(MONITORING / "alerts.yml")["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
MINUTES = 60
_NPU = ("utilization", "hbm_used_memory", "health_status", "temperature", "power")
"""What MindCluster's npu-exporter 7.3 has of each chip; labels as there."""


def exported() -> set[str]:
    """Return the names of all samples that there may be."""
    suffixes = {Type.HISTOGRAM: ("_bucket", "_sum", "_count")}
    return {f"{family.name}{suffix}" for family in FAMILIES for suffix in suffixes.get(family.type, ("",))}


@pytest.mark.parametrize("expression", [rule["expr"] for rule in ALERTS] + [query for _, query in QUERIES])
def test_what_is_asked_for_is_exported(expression: str) -> None:
    """By alerts and by the dashboard."""
    named = set(re.findall(r"\bglmd_\w+", expression))
    assert named <= exported()
    others = set(re.findall(r"\b(?:npu|node)_\w+", expression))
    assert named or others or "up{" in expression


def test_there_are_alerts_for_what_goes_wrong() -> None:
    """Each says what to do, and how bad it is; names are told once."""
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names) >= 15
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "todo"}


@pytest.mark.prometheus
def test_the_alerts_fire_when_they_are_to() -> None:
    """`promtool test rules`, in which each of them fires and is silent."""
    run("promtool", "check", "rules", "--lint-fatal", str(MONITORING / "alerts.yml"))
    run("promtool", "test", "rules", str(MONITORING / "alerts_test.yml"))
    tests = YAML(typ="safe").load(MONITORING / "alerts_test.yml")["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for expected in (True, False):
        tried = {case["alertname"] for case in cases if bool(case["exp_alerts"]) is expected}
        assert tried == {rule["alert"] for rule in ALERTS}


@pytest.mark.prometheus
def test_the_scrape_file_is_one(tmp_path: Path) -> None:
    """Prometheus takes it as it stands, and with it the alerts."""
    text = (MONITORING / "scrape.yml").read_text()
    whole = tmp_path / "prometheus.yml"
    whole.write_text(f"rule_files: [{MONITORING / 'alerts.yml'}]\n{text}")
    run("promtool", "check", "config", str(whole))


def test_the_dashboard_is_one() -> None:
    """Datasource and host are variables, no panel lies on another one, and all that Grafana asks for is there."""
    assert DASHBOARD["schemaVersion"] >= 36
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "host"]
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert '{instance=~"$host"' in target["expr"]
    rows = [panel["title"].split()[0] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Now", "Night", "Trainings", "Devices", "Disk"]


@dataclass(frozen=True)
class Recorded:
    """A Prometheus that has scraped glmd and npu-exporter for an hour."""

    prometheus: Prometheus

    def series(self, expression: str) -> list[dict[str, str]]:
        """Return what it finds at the end of that hour, for one host."""
        filled = expression.replace("$host", "npu01").replace("$__rate_interval", "5m")
        return self.prometheus.query(filled, NOW.timestamp())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Let it have done so, of a root in which there is something of everything."""
    directory = tmp_path_factory.mktemp("prometheus")
    scene = Scene(directory / "scene").fill()
    scrape = scene.scrape()
    assert scrape.failures == {}
    prometheus = Prometheus(directory)
    prometheus.record(an_hour_of(parsed(scrape.text)))
    with prometheus:
        yield Recorded(prometheus)


def an_hour_of(values: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> str:
    """Return samples of each minute: what is counted, and the steps of trainings, grow to what they are."""
    of_npu = {
        (f"npu_chip_info_{name}", (("id", str(chip)), ("model_name", "910B"), ("job", "npu"))): 1.0
        for name in _NPU
        for chip in range(8)
    }
    of_glmd = {(name, (*labels, ("job", "glmd"))): value for (name, labels), value in values.items()}
    lines = []
    for (name, labels), value in sorted((of_glmd | of_npu).items()):
        grows = name.endswith(("_total", "_bucket", "_count", "_sum", "steps_done"))
        told = ",".join(f"{key}={json.dumps(text)}" for key, text in (*labels, ("instance", "npu01")))
        lines += [f"# TYPE {name} unknown"] * (not lines or not lines[-1].startswith(f"{name}{{"))
        for minute in range(MINUTES + 1):
            at = NOW.timestamp() - 60 * (MINUTES - minute)
            lines.append(f"{name}{{{told}}} {value + (minute if grows else 0)} {at}")
    return "\n".join((*lines, "# EOF\n"))


@pytest.mark.prometheus
@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_panel_finds_something(recorded: Recorded, title: str, query: str) -> None:
    """Prometheus itself answers each of its queries with series, of samples that the exporter made."""
    assert recorded.series(query) != [], title


@pytest.mark.prometheus
def test_the_host_can_be_chosen(recorded: Recorded) -> None:
    """By the samples that the variable asks for."""
    query = DASHBOARD["templating"]["list"][1]["definition"]
    assert query == "label_values(glmd_up, instance)"
    assert [series["instance"] for series in recorded.series("glmd_up")] == ["npu01"]


@pytest.mark.prometheus
def test_devices_join_with_those_of_npu_exporter(recorded: Recorded) -> None:
    """By instance and id: a sample of each device that a job holds, with the job's number and name."""
    query = "npu_chip_info_utilization * on(instance,id) group_left(job_id,job_name) glmd_device_job_info"
    found: list[dict[str, Any]] = recorded.series(query)
    assert {(each["id"], each["job_name"], each["model_name"]) for each in found} == {
        ("4", "run_glm_6b", "910B"),
        ("5", "run_glm_6b", "910B"),
    }
