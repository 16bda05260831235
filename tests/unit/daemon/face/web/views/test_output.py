"""Promises of the page of a job's output."""

import html
import os
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.states import Job, State
from daemon.core.store import Store
from handlers.ckpt.entry import Fingerprint
from handlers.ckpt.publishing.manifest import NAME, Manifest, MergedFile, MergedParameter, read_manifest
from handlers.gate.verdict import Rule, Verdict
from tests.unit.daemon.face.web.views.job_site import DONE, ELSEWHERE, HOSTILE, JobSite

WEIGHTS = "filtered_transformed.ckpt"
CONTENT = b"weights \x00 of a model"


def manifest_of(directory: Path, *parameters: str, name: str = WEIGHTS) -> Manifest:
    """Describe a file that lies in a directory."""
    file = MergedFile(
        name,
        **asdict(Fingerprint.of((directory / name).stat())),
        parameters=tuple(MergedParameter(each, (2, 3), "Float16", 12, "0123456789abcdef" * 2) for each in parameters),
    )
    return Manifest(
        format=2, created="2026-11-28T02:00:00+00:00", tools={"glmd": "0.2.0"}, prefix="glm-6b", tag="31_4",
        files=(file,), index=None, sources={}, strategies=(), entries_in=91, dropped={}, unlaid=(), updates={},
        hash="xxh3_128", replicas_compared=True,
    )  # fmt: skip


@pytest.fixture
def job(jobs: JobSite) -> Job:
    """Return a job that has merged 120 parameters into a file."""
    job = jobs.add("glm", *DONE)
    merged = jobs.directory(job).merged
    jobs.write(merged / WEIGHTS, CONTENT)
    names = [f"transformer.layers.{number}.{'weight' if number % 2 else 'bias'}" for number in range(120)]
    jobs.write(merged / NAME, manifest_of(merged, *names).encode())
    return job


def state_in(page: str) -> str:
    """Return how the first file stands to its manifest."""
    found = re.search(r'<span class="state"><span aria-hidden="true">.</span> ([^<]*)</span></td>', page)
    assert found
    return found[1]


def parameters_in(page: str) -> list[str]:
    """Return the names of the parameters that are shown."""
    return re.findall(r'<th scope="row"><code>(transformer[^<]*)</code>', page)


def kept_manifest(jobs: JobSite, job: Job) -> Manifest:
    """Return what a job has."""
    return read_manifest(jobs.directory(job).merged / NAME)


def test_the_manifest_is_shown(jobs: JobSite, job: Job) -> None:
    """Tag, entries, files, and how to have them and to hold them against it."""
    page = html.unescape(jobs.get("/jobs/1/output").text)
    merged = jobs.directory(job).merged
    assert "<b>31_4</b> · 120 of 91 entries" in page
    assert "glmd 0.2.0" in page
    assert re.search(rf"scp [\w.-]+:{merged}/{WEIGHTS} \.", page)
    assert f"glmd verify {merged}" in page
    assert state_in(page) == "as it was written"


def test_a_file_is_held_against_its_manifest_without_reading_it(jobs: JobSite, job: Job) -> None:
    """By its time, its size, and whether it is there."""
    path = jobs.directory(job).merged / WEIGHTS
    os.utime(path, (1, 1))
    assert state_in(jobs.get("/jobs/1/output").text) == "written later: verify it"
    path.write_bytes(CONTENT * 2)
    assert state_in(jobs.get("/jobs/1/output").text) == "another size"
    path.unlink()
    page = jobs.get("/jobs/1/output").text
    assert state_in(page) == "missing"
    assert "scp" not in page


def test_parameters_come_fifty_a_page_and_by_name(jobs: JobSite, job: Job) -> None:
    """With shape, type and bytes."""
    found: list[str] = []
    address: str | None = "/jobs/1/output"
    while address:
        page = jobs.get(address).text
        assert len(parameters_in(page)) <= 50
        found += parameters_in(page)
        match = re.search('href="([^"]*)#parameters">next', page)
        address = html.unescape(match[1]) if match else None
    assert found == [each.name for each in kept_manifest(jobs, job).parameters]
    filtered = jobs.get("/jobs/1/output?q=9.WEIGHT").text
    assert parameters_in(filtered) == [f"transformer.layers.{number}.weight" for number in range(9, 120, 10)]
    assert "12 of 120" in filtered
    assert "2 × 3" in filtered
    assert parameters_in(jobs.get("/jobs/1/output?page=99").text) == []
    assert jobs.get("/jobs/1/output?page=0").status_code == 404


def test_the_verdict_of_the_gate_is_shown(jobs: JobSite, job: Job) -> None:
    """Each rule with what came of it."""
    rules = (Rule(name="finite", passed=True), Rule(name="loss.max_rise", passed=False, why="9 % above <b>", limit=2.1))
    verdict = Verdict(passed=False, reason="loss 2.31 is 9 % above", rules=rules, at=datetime.now(UTC))
    verdict.publish(jobs.directory(job).verdict)
    page = jobs.get("/jobs/1/output").text
    assert "Gate: not passed" in page
    assert "failed: 9 % above &lt;b&gt; (limit 2.1)" in page
    assert page.index("finite") < page.index("loss.max_rise")


def test_promotions_are_shown_and_where_latest_leads(jobs: JobSite, job: Job) -> None:
    """Of the job's prefix, the newest first."""
    assert "leads here" not in jobs.get("/jobs/1/output").text
    jobs.sql(
        "INSERT INTO promotions (prefix, kind, job, cycle, target, at, by, reason) VALUES"
        " ('glm-6b', 'promotion', 1, '', 'jobs/0001-glm/merged', '2026-11-28T02:00:00+00:00', 'anna', '<i>why')"
    )
    page = jobs.get("/jobs/1/output").text
    assert "latest/glm-6b leads here" in page
    assert "anna &lt;i&gt;why" in page
    assert job.prefix == "glm-6b"


def test_without_an_output_the_page_says_so(jobs: JobSite) -> None:
    """Before the merge, after a failure, without a directory; and of no job nothing."""
    job = jobs.add("glm")
    assert "nothing is merged yet" in jobs.get("/jobs/1/output").text
    jobs.directory(job).path.rmdir()
    assert "nothing is merged yet" in jobs.get("/jobs/1/output").text
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), State.CANCELLED)
    assert "nothing was merged" in jobs.get("/jobs/1/output").text
    assert jobs.get("/jobs/2/output").status_code == 404
    assert jobs.get("/jobs/..%2f1/output").status_code == 404


def test_of_what_was_removed_the_manifest_is_shown(jobs: JobSite, job: Job) -> None:
    """Retention keeps it."""
    directory = jobs.directory(job)
    (directory.merged / NAME).rename(directory.manifest)
    (directory.merged / WEIGHTS).unlink()
    page = jobs.get("/jobs/1/output").text
    assert "the files were removed later" in page
    assert state_in(page) == "missing"


@pytest.mark.parametrize("content", (b"{", b"[]", b'{"format": 2}', b"\xff", b"{}" + b" " * (9 << 20)))
def test_a_manifest_that_is_none_is_told(jobs: JobSite, job: Job, content: bytes) -> None:
    """And of it nothing is shown."""
    path = jobs.write(jobs.directory(job).merged / NAME, content)
    answer = jobs.get("/jobs/1/output")
    assert answer.status_code == 200
    assert str(path) in html.unescape(answer.text)
    assert len(answer.text) < 20_000


def test_files_are_fetched_only_where_the_settings_let_them(jobs: JobSite, job: Job) -> None:
    """Else the page has a command that copies them."""
    assert job.state is State.DONE
    assert jobs.get(f"/jobs/1/output/{WEIGHTS}").status_code == 404
    assert "download ⤓" not in jobs.get("/jobs/1/output").text
    jobs.web = {"download": True}
    assert f'href="/jobs/1/output/{WEIGHTS}" download' in jobs.get("/jobs/1/output").text
    answer = jobs.get(f"/jobs/1/output/{WEIGHTS}")
    assert answer.content == CONTENT
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="{WEIGHTS}"'
    assert "content-encoding" not in answer.headers
    part = jobs.get(f"/jobs/1/output/{WEIGHTS}", range="bytes=-5")
    assert (part.status_code, part.content) == (206, CONTENT[-5:])


@pytest.mark.parametrize(
    "name",
    (NAME, "plan.json", "..", ".", "%2e%2e", "..%2fplan.json", "..%2f..%2f..%2fglmd.db", "%00", f"{WEIGHTS}%00",
     f"./{WEIGHTS}", "other.ckpt", "/etc/passwd", "%2fetc%2fpasswd"),
)  # fmt: skip
def test_only_what_the_manifest_names_can_be_fetched(jobs: JobSite, job: Job, name: str) -> None:
    """Whatever else lies there, or elsewhere."""
    jobs.web = {"download": True}
    jobs.write(jobs.directory(job).plan, ELSEWHERE)
    jobs.write(jobs.directory(job).merged / "other.ckpt", ELSEWHERE)
    answer = jobs.get(f"/jobs/1/output/{name}")
    if answer.status_code == 200:  # the client itself makes `.` and `./` of it what they mean
        assert "manifest" in answer.text or answer.content == CONTENT
        assert name in {".", f"./{WEIGHTS}", "..", "%2e%2e"}
    else:
        assert answer.status_code == 404
    assert ELSEWHERE not in answer.text


@pytest.mark.parametrize("named", ("../plan.json", "..", "a/b", "", "a\0b"))
def test_a_manifest_names_no_file_elsewhere(jobs: JobSite, job: Job, named: str) -> None:
    """Somebody may have written it."""
    jobs.web = {"download": True}
    jobs.write(jobs.directory(job).plan, ELSEWHERE)
    found = kept_manifest(jobs, job)
    hostile = replace(found, files=(replace(found.files[0], name=named),))
    jobs.write(jobs.directory(job).merged / NAME, hostile.encode())
    assert "no manifest of glmd" in jobs.get("/jobs/1/output").text
    assert jobs.get("/jobs/1/output/..%2fplan.json").status_code == 404
    assert jobs.get("/jobs/1/output/a").status_code == 404


def test_a_file_that_leads_elsewhere_is_not_sent(jobs: JobSite, job: Job) -> None:
    """Nor one that lies in a directory that does, nor a FIFO."""
    jobs.web = {"download": True}
    merged = jobs.directory(job).merged
    path = merged / WEIGHTS
    path.unlink()
    path.symlink_to(jobs.write(jobs.directory(job).plan, ELSEWHERE))
    assert state_in(jobs.get("/jobs/1/output").text) == "missing"
    assert jobs.get(f"/jobs/1/output/{WEIGHTS}").status_code == 404
    path.unlink()
    os.mkfifo(path)
    assert jobs.get(f"/jobs/1/output/{WEIGHTS}").status_code == 404
    merged.rename(merged.with_name("aside"))
    merged.symlink_to("aside")
    assert "nothing was merged" in jobs.get("/jobs/1/output").text


def test_hostile_names_are_text(jobs: JobSite, job: Job) -> None:
    """Of parameters and of files; a download keeps such a name for itself."""
    jobs.web = {"download": True}
    merged = jobs.directory(job).merged
    name = '<img src=x>"\r\n全\u202e.ckpt'
    jobs.write(merged / name, CONTENT)
    jobs.write(merged / NAME, manifest_of(merged, HOSTILE, name=name).encode())
    page = jobs.get("/jobs/1/output").text
    assert "<img" not in page
    assert "\u202e" not in page
    href = re.search(r'href="(/jobs/1/output/[^"]*)" download', page)
    assert href
    answer = jobs.get(html.unescape(href[1]))
    assert answer.content == CONTENT
    assert answer.headers["content-disposition"].startswith('attachment; filename="_img_src_x')
    assert "\n" not in answer.headers["content-disposition"]
