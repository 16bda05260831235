"""Promises of `glmd night --try` and `--dry-run`: tonight's YAML of a cycle, dropped now or shown."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from daemon.core.states import Job, Source, State
from daemon.core.store import Store
from tests.unit.daemon.commands.conftest import Site, until


@pytest.fixture
def template(site: Site, good_yaml: Path) -> Path:
    """Return the template of the cycle `glm` that the site has."""
    good_yaml.write_text(f"{good_yaml.read_text()}\n# of {{date}}\nnote: '{{night}} of {{date}}'\n")
    entry = {"name": "glm", "cron": "0 2 * * *", "timezone": "Asia/Shanghai", "template": str(good_yaml)}
    cycle = {**entry, "devices": "[0,2)", "continue_from": None}
    (site.root.path / "glmd.yaml").write_text(json.dumps({"nightly": [cycle], "inbox": {"settle": 0.1}}))
    return good_yaml


def newest(template: Path) -> Path:
    """Let the template take the newest file of a directory; return that."""
    data = template.parent / "new"
    data.mkdir()
    template.write_text(template.read_text() + f"other: '{{newest:{data}/*.json}}'\n")
    return data


@pytest.mark.usefixtures("template")
def test_it_is_dropped_as_a_run_of_this_moment(site: Site) -> None:
    """With the daemon down it waits, as what is submitted does; with its placeholders filled in."""
    before = datetime.now(UTC).replace(microsecond=0)
    done = site.glmd("night", "--try", "glm")
    assert done.returncode == 0, done.stderr
    (dropped,) = site.root.inbox.iterdir()
    assert done.stdout == f"dropped: {dropped}\n"
    assert "does not run" in done.stderr
    at = datetime.strptime(dropped.stem, "glm-%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert before <= at <= datetime.now(UTC)
    told = YAML(typ="safe").load(dropped.read_text())
    assert told["note"].startswith(f"{dropped.stem} of 20")
    assert told["glmd"]["devices"] == "[0,2)"
    assert "# of {date}" in dropped.read_text()


@pytest.mark.usefixtures("template")
def test_the_daemon_keeps_that_it_was_tried_by_hand(site: Site) -> None:
    """When it takes it in, as a night of the moment in its name, with its job."""
    with site.daemon():
        assert site.glmd("night", "--try", "glm").returncode == 0
        until(lambda: bool(site_jobs(site)), "the drop is a job")
        (job,) = site_jobs(site)
        assert (job.source, job.cycle) == (Source.NIGHT, "glm")
        at = datetime.strptime(job.name, "glm-%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        with Store.open(site.root.store) as store:
            night = store.night("glm", at)
        assert night is not None
        assert (night.job, night.outcome, night.reason) == (job.id, "dropped", "tried by hand")


def site_jobs(site: Site) -> tuple[Job, ...]:
    """Return all jobs."""
    with Store.open(site.root.store) as store:
        return store.jobs()


@pytest.mark.usefixtures("template")
def test_a_dry_run_drops_nothing(site: Site) -> None:
    """The YAML on standard output, what the check says on standard error."""
    done = site.glmd("night", "--dry-run", "glm")
    assert done.returncode == 0, done.stderr
    told = YAML(typ="safe").load(done.stdout)
    assert told["note"].startswith("glm-20")
    assert ": good: " in done.stderr
    assert not list(site.root.inbox.iterdir())


def test_what_the_check_refuses_is_shown_and_not_dropped(site: Site, template: Path) -> None:
    """With line and column of the filled YAML; exit code 2."""
    template.write_text(template.read_text().replace("run_mode:", "run_mod:"))
    shown, tried = site.glmd("night", "--dry-run", "glm"), site.glmd("night", "--try", "glm")
    assert (shown.returncode, tried.returncode) == (2, 2)
    assert "run_mod:" in shown.stdout
    assert "run_mode" in shown.stderr
    assert "run_mode" in tried.stderr
    assert not list(site.root.inbox.iterdir())


def test_without_data_nothing_is_dropped(site: Site, template: Path) -> None:
    """It is said what is looked for; `glmd doctor` says the same."""
    data = newest(template)
    for option in ("--dry-run", "--try"):
        done = site.glmd("night", option, "glm")
        assert done.returncode == 2
        assert f"{data}/*.json: matches no file" in done.stderr
    told = json.loads(site.glmd("doctor", "--json").stdout)["checks"]
    (note,) = [check["text"] for check in told if check["name"] == "nightly glm"]
    assert "matches no file" in note
    assert not list(site.root.inbox.iterdir())


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize(
    ("words", "why"),
    (
        (("--try", "other"), "no nightly cycle is called 'other'; the settings have: glm"),
        (("--dry-run", "other"), "no nightly cycle is called 'other'; the settings have: glm"),
        (("--dry-run", "glm", "--try", "glm"), "give --try CYCLE, or --dry-run CYCLE"),
    ),
)
def test_wrong_words_are_bad_usage(site: Site, words: tuple[str, ...], why: str) -> None:
    """With what would be right."""
    done = site.glmd("night", *words)
    assert done.returncode == 2
    assert why in done.stderr


@pytest.mark.usefixtures("template")
def test_a_run_that_was_rejected_is_kept_with_its_job(site: Site) -> None:
    """What is right now may be wrong when the daemon takes it: the night has the rejected job."""
    assert site.glmd("night", "--try", "glm").returncode == 0
    (dropped,) = site.root.inbox.iterdir()
    dropped.write_text("seed: 0\n")
    with site.daemon():
        until(lambda: bool(site_jobs(site)), "the drop is taken")
    (job,) = site_jobs(site)
    assert job.state is State.REJECTED
    with Store.open(site.root.store) as store:
        night = store.night("glm", datetime.strptime(job.name, "glm-%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
    assert night is not None
    assert night.job == job.id
