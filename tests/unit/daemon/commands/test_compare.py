"""Promises of `glmd compare`."""

import json

from tests.unit.daemon.commands.conftest import Site
from tests.unit.daemon.commands.trained import DONE, record

YAML = "seed: {seed}\nmodel:\n  model_config:\n    seq_length: 512\n    num_layers: {layers}\ncallbacks:\n  - type: A\n"


def two(site: Site) -> None:
    """Add two jobs that trained, of which the second was better."""
    for name, seed, layers, loss in (("a", 1, 28, 9.0), ("b", 2, 28, 4.5)):
        job = site.add(name, *DONE)
        job.directory(site.root.path).config.write_text(YAML.format(seed=seed, layers=layers))
        record(site, job, range(1, 21), loss=loss, samples=6.5)


def test_curves_lie_on_one_scale_and_ends_in_one_table(site: Site) -> None:
    """So that the better one is seen at once."""
    two(site)
    shown = site.glmd("compare", "1", "2", PYTHONIOENCODING="utf-8")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("loss by step") == 2
    lines = shown.stdout.splitlines()
    assert len([line for line in lines if line.split()[:1] == ["9"]]) == 2
    table = [line.split() for line in lines[lines.index(next(line for line in lines if "NAME" in line)) :]]
    assert table[1:] == [
        ["1", "a", "done", "20/124", "9", "0.45", "0.45", "13", "19s"],
        ["2", "b", "done", "20/124", "4.5", "0.225", "0.225", "13", "19s"],
    ]


def test_a_terminal_without_braille_gets_the_table_alone(site: Site) -> None:
    """And no traceback."""
    two(site)
    shown = site.glmd("compare", "1", "2", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0, shown.stderr
    assert "loss by step" not in shown.stdout
    assert "0.225" in shown.stdout


def test_configurations_are_told_where_they_differ(site: Site) -> None:
    """Each key with the value of each job."""
    two(site)
    shown = site.glmd("compare", "--config", "1", "2")
    assert [line.split() for line in shown.stdout.splitlines()] == [["KEY", "0001-a", "0002-b"], ["seed", "1", "2"]]
    assert site.glmd("compare", "1", "1", "--config").stdout == "the configurations are the same\n"


def test_json_has_both(site: Site) -> None:
    """With the documented keys."""
    two(site)
    told = json.loads(site.glmd("compare", "1", "2", "--json").stdout)
    assert [job["training"]["last_loss"] for job in told["jobs"]] == [0.45, 0.225]
    assert told["config"] == [{"key": "seed", "values": ["1", "2"]}]


def test_a_job_that_recorded_nothing_is_in_the_table(site: Site) -> None:
    """It does not keep the others from being compared."""
    two(site)
    site.add("c")
    shown = site.glmd("compare", "1", "3")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1].split() == ["3", "c", "queued", "none"]


def test_one_job_is_no_comparison(site: Site) -> None:
    """It says what is missing."""
    two(site)
    shown = site.glmd("compare", "1")
    assert shown.returncode == 2
    assert "two jobs or more" in shown.stderr


def test_the_settings_file_before_the_command_is_no_job(site: Site) -> None:
    """Its --config is the settings' there, as before any other command."""
    two(site)
    settings = site.root.path.parent / "glmd.yaml"
    settings.write_text(f"root: {site.root.path}\n")
    assert site.glmd("--config", settings, "compare", "1", "2").returncode == 0
    assert site.glmd(f"--config={settings}", "compare", "1", "2", "--config").returncode == 0
