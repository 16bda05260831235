"""Promises of the page of a job's configuration."""

import re
from html import unescape

import pytest

from daemon.core.states import Job
from tests.unit.daemon.face.web.views.job_site import ELSEWHERE, HOSTILE, JobSite

YAML = "seed: {seed}\nrunner_config:\n  batch_size: {batch}\nremote:\n  api_key: {key}\n"


def configured(jobs: JobSite, name: str, text: str) -> Job:
    """Add a job with its configuration."""
    job = jobs.add(name)
    jobs.write(jobs.directory(job).config, text)
    jobs.write(jobs.directory(job).submitted, text + "glmd:\n  devices: '[0,2)'\n")
    return job


def difference_in(page: str) -> list[list[str]]:
    """Return the rows of the difference."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2].partition("</tbody>")[0], re.DOTALL)
    return [[unescape(cell) for cell in re.findall("<code>(.*?)</code>", row)] for row in rows]


def two(jobs: JobSite) -> None:
    """Add two jobs of one name, and one of another between them."""
    configured(jobs, "glm", YAML.format(seed=0, batch=4, key="hunter1"))
    configured(jobs, "other", YAML.format(seed=7, batch=4, key="hunter1"))
    configured(jobs, "glm", YAML.format(seed=0, batch=8, key="hunter2"))


def test_the_job_before_of_that_name_is_what_is_compared(jobs: JobSite) -> None:
    """By default; another one by its number. What is secret differs, and is not told."""
    two(jobs)
    page = jobs.get("/jobs/3/config").text
    assert difference_in(page) == [["runner_config.batch_size", "4", "8"], ["remote.api_key", "•••", "•••"]]
    other = jobs.get("/jobs/3/config?with=2").text
    assert ["seed", "7", "0"] in difference_in(other)
    for each in (page, other):
        assert "hunter" not in each
    assert "no earlier job has this name" in jobs.get("/jobs/1/config").text
    assert "the configurations are the same" in jobs.get("/jobs/3/config?with=3").text


def test_both_files_are_shown_without_what_is_secret(jobs: JobSite) -> None:
    """What ran, and what was dropped with its own section."""
    two(jobs)
    shown = [
        unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", jobs.get("/jobs/3/config").text, re.DOTALL)
    ]
    assert shown[0] == YAML.format(seed=0, batch=8, key="•••")
    assert shown[1].endswith("glmd:\n  devices: '[0,2)'\n")


def test_the_settings_hide_more(jobs: JobSite) -> None:
    """In both the text and the difference."""
    two(jobs)
    jobs.web = {"hide": ["^batch"]}
    page = jobs.get("/jobs/3/config").text
    assert "batch_size: •••" in page
    assert ["runner_config.batch_size", "•••", "•••"] in difference_in(page)


def test_what_cannot_be_parsed_is_shown_line_by_line(jobs: JobSite) -> None:
    """And compared with nothing."""
    configured(jobs, "glm", "a: 1\n")
    configured(jobs, "glm", f"a: [1\n{HOSTILE}\nmy_token: hunter2\n")
    page = jobs.get("/jobs/2/config").text
    assert "hunter2" not in page
    assert "0002-glm/config.yaml cannot be read as YAML" in page
    assert "glmd cannot read it as one YAML" in page
    assert "<img" not in page
    assert "\u202e" not in page


def test_hostile_keys_and_values_are_text(jobs: JobSite) -> None:
    """In the difference, too."""
    configured(jobs, "glm", "a: 1\n")
    configured(jobs, "glm", "'<b>k': \"<img src=x onerror=alert(1)>\\u202e\"\n")
    page = jobs.get("/jobs/2/config").text
    assert ["<b>k", "–", r"<img src=x onerror=alert(1)>\u202e"] in difference_in(page)
    assert "\u202e" not in page
    assert "<img" not in page
    assert "<b>k" not in page


def test_a_long_value_is_cut(jobs: JobSite) -> None:
    """Nobody's value fills the page."""
    configured(jobs, "glm", "a: 1\n")
    configured(jobs, "glm", f"a: {'x' * 100_000}\n")
    assert len(difference_in(jobs.get("/jobs/2/config").text)[0][2]) < 500


@pytest.mark.parametrize("query", ("with=9", "with=..", "with=-1", "with=0", "with=%00", "with=1e3"))
def test_an_address_names_no_file(jobs: JobSite, query: str) -> None:
    """A job's number or nothing."""
    configured(jobs, "glm", "a: 1\n")
    assert jobs.get(f"/jobs/1/config?{query}").status_code == 404


def test_what_is_missing_is_said(jobs: JobSite) -> None:
    """No file, no directory, no job."""
    job = jobs.add("glm")
    assert "there is no configuration yet" in jobs.get("/jobs/1/config").text
    jobs.directory(job).path.rmdir()
    assert "there is no configuration yet" in jobs.get("/jobs/1/config").text
    configured(jobs, "glm", "a: 1\n")
    assert "0001-glm/config.yaml is not there" in jobs.get("/jobs/2/config").text
    assert jobs.get("/jobs/3/config").status_code == 404


@pytest.mark.parametrize("name", ("config.yaml", "submitted.yaml"))
def test_a_file_that_leads_elsewhere_is_not_shown(jobs: JobSite, name: str) -> None:
    """Nor compared."""
    other = jobs.add("glm")
    configured(jobs, "glm", "a: 1\n")
    path = jobs.directory(other).path / name
    path.symlink_to(jobs.write(jobs.root.path / "elsewhere.yaml", f"a: {ELSEWHERE}\n"))
    for address in ("/jobs/1/config", "/jobs/2/config"):
        answer = jobs.get(address)
        assert answer.status_code == 200
        assert ELSEWHERE not in answer.text


def test_a_resumed_attempt_s_own_is_shown(jobs: JobSite) -> None:
    """What ran is config.yaml and the keys for resuming."""
    job = jobs.add("glm")
    with_resume = jobs.directory(job).resumed_config(2)
    jobs.write(with_resume, "resume_training: True\n")
    assert "resume_training" not in jobs.get("/jobs/1/config").text
    jobs.sql("UPDATE jobs SET attempt = 2")
    assert "resume_training: True" in jobs.get("/jobs/1/config").text


def test_a_file_that_is_too_large_is_not_read_whole(jobs: JobSite) -> None:
    """The check takes none such, either."""
    configured(jobs, "glm", "a: 1\n")
    configured(jobs, "glm", "a: " + "x" * (2 << 20))
    answer = jobs.get("/jobs/2/config")
    assert answer.status_code == 200
    assert "it is too large to be shown" in answer.text
    assert len(answer.text) < 20_000
