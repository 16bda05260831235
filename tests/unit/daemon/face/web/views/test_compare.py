"""Promises of daemon.face.web.views.compare: several jobs beside each other, and no secret."""

from pathlib import Path

import pytest

from daemon.core.states import Job
from tests.unit.daemon.face.diary import DONE, FAILED, Diary, utc
from tests.unit.daemon.face.web.nights_site import HOSTILE, Client, train

AT = utc("2026-03-10 02:00")


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def trained(diary: Diary, name: str, losses: list[float], config: str = "lr: 1\n") -> Job:
    """Let a job have trained, and failed."""
    job = diary.job(name, AT, *FAILED)
    train(diary.root.path, job.label, losses, config)
    return job


def test_jobs_are_told_beside_each_other(diary: Diary) -> None:
    """Of one that is over what is kept of it, else what its record says; and only keys that differ."""
    trained(diary, "a", [3.0, 2.0], "lr: 1\nbatch: 4\nsame: 5\n")
    done = diary.job("b", AT, *DONE, loss=1.25)
    train(diary.root.path, done.label, [3.0, 2.5], "lr: 2\nsame: 5\nother: x\n")
    text = Client(diary.root.path).get("/compare?jobs=1,2").text
    assert "2/2" in text
    assert '<td class="figure">2.5</td><td class="figure">1.25</td>' in text
    assert '<th scope="row"><code>lr</code></th><td><code>1</code></td><td><code>2</code></td>' in text
    assert '<th scope="row"><code>batch</code></th><td><code>4</code></td><td>–</td>' in text
    assert "<code>same</code>" not in text


def test_what_is_secret_is_not_shown(diary: Diary) -> None:
    """That it differs is; the settings may hide more."""
    trained(diary, "a", [1.0], "api_key: hunter2\nmount: /mnt/a\n")
    trained(diary, "b", [1.0], "api_key: swordfish\nmount: /mnt/b\n")
    text = Client(diary.root.path, hide=["^mount$"]).get("/compare?jobs=1,2").text
    assert "api_key" in text
    assert text.count("•••") == 4
    for secret in ("hunter2", "swordfish", "/mnt/a"):
        assert secret not in text


def test_a_form_names_jobs_one_by_one(diary: Diary) -> None:
    """As a browser without a script does."""
    trained(diary, "a", [1.0])
    trained(diary, "b", [1.0])
    client = Client(diary.root.path)
    assert "1 a</a>" in client.get("/compare?jobs=2&jobs=1").text
    assert client.get("/compare?jobs=2&jobs=1").text == client.get("/compare?jobs=2,1").text


def test_curves_are_drawn_on_each_other_without_a_script(diary: Diary) -> None:
    """Each in its colour, in the order of the address, on one scale; what is no number is a gap."""
    trained(diary, "a", [3.0, 2.0, float("nan"), 1.0])
    trained(diary, "b", [9.0])
    client = Client(diary.root.path)
    assert '<noscript><img class="picture" src="/compare.svg?jobs=2%2C1"' in client.get("/compare?jobs=2,1").text
    answer = client.get("/compare.svg?jobs=2,1")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.index('class="s0"') < answer.text.index('class="s1"')
    assert ">9</text>" in answer.text
    assert "stroke-dasharray" in answer.text


def test_fewer_than_two_jobs_are_told_how_to_be_more(diary: Diary) -> None:
    """By a link to where they are chosen."""
    trained(diary, "a", [1.0])
    for address in ("/compare", "/compare?jobs=1", "/compare?jobs=1,1", "/compare?jobs="):
        answer = Client(diary.root.path).get(address)
        assert answer.status_code == 200
        assert 'href="/jobs"' in answer.text


MANY = ",".join(map(str, range(1, 14)))


@pytest.mark.parametrize("jobs", ("1,x", "1,-2", "1,99", f"1,{'9' * 30}", "1;2", "../1,2", MANY, "٣,1", "1," * 2000))
def test_what_makes_no_sense_is_said(diary: Diary, jobs: str) -> None:
    """A job that is not there, a thirteenth, or no number."""
    for number in range(13):
        diary.job(f"run{number}", AT, *FAILED)
    client = Client(diary.root.path)
    assert client.get(f"/compare?jobs={jobs}").status_code in {404, 414}
    assert client.get(f"/compare.svg?jobs={jobs}").status_code in {404, 414}


def test_twelve_jobs_can_be_compared(diary: Diary) -> None:
    """The last six curves are told from the first by their dashes."""
    for number in range(12):
        trained(diary, f"run{number}", [2.0, 1.0])
    client = Client(diary.root.path)
    address = f"?jobs={','.join(map(str, range(1, 13)))}"
    assert client.get(f"/compare{address}").text.count("data-steps") == 12
    assert ".s11{stroke:#00707a;stroke-dasharray:6 4}" in client.get(f"/compare.svg{address}").text


def test_jobs_of_which_nothing_is_there_are_told_all_the_same(diary: Diary) -> None:
    """Neither a record nor a configuration, nor a directory."""
    diary.job("a", AT, *DONE, loss=1.5)
    diary.job("b", AT, *FAILED)
    answer = Client(diary.root.path).get("/compare?jobs=1,2")
    assert answer.status_code == 200
    assert "no step yet" in answer.text
    assert "a configuration is not there" in answer.text
    assert '<td class="figure">1.5</td><td class="figure">–</td>' in answer.text


def test_a_broken_configuration_is_said(diary: Diary) -> None:
    """What else there is to be compared is shown."""
    trained(diary, "a", [1.0], "a: [")
    trained(diary, "b", [1.0])
    answer = Client(diary.root.path).get("/compare?jobs=1,2")
    assert answer.status_code == 200
    assert 'class="notice"' in answer.text


def test_names_and_values_are_text(diary: Diary) -> None:
    """Nothing of them is markup, also in the picture."""
    trained(diary, HOSTILE, [1.0], "a: <script>alert(1)</script>\n")
    trained(diary, "b", [1.0])
    client = Client(diary.root.path)
    assert "<img src=x" not in client.get("/compare?jobs=1,2").text
    assert "<script>alert" not in client.get("/compare?jobs=1,2").text
    assert "<img" not in client.get("/compare.svg?jobs=1,2").text
