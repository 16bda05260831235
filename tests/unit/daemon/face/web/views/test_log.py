"""Promises of the page of a log."""

import html
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.face.web.asking import Asked
from daemon.face.web.log_pieces import PIECE
from daemon.face.web.plan import PagePlan
from daemon.face.web.site import Site
from daemon.face.web.views import log
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from handlers.records.job_dir import Step
from tests.unit.daemon.face.web.views.job_site import ELSEWHERE, HOSTILE, TRAINING, JobSite

EVENT = '{"job": 1, "rank": 3, "event": "rank_exited", "level": "warning", "timestamp": "2026-11-24T09:14:07Z"}\n'


@pytest.fixture
def job(jobs: JobSite) -> Job:
    """Return a job that trains, whose first rank has written."""
    job = jobs.add("glm", *TRAINING)
    jobs.write(jobs.directory(job).rank_log(0), "one\ntwo EI0006\nthree\n")
    return job


def lines_of(page: str) -> list[tuple[int, str]]:
    """Return what a page shows of a log, with the byte that each line begins at."""
    found = re.findall(r'<li id="b(\d+)".*?<code>(.*?)</code></li>', page, re.DOTALL)
    return [(int(at), html.unescape(re.sub("</?mark>", "", text))) for at, text in found]


def numbered(count: int) -> str:
    """Return so many lines of 10 bytes."""
    return "".join(f"line{number:05d}\n" for number in range(count))


@pytest.mark.usefixtures("job")
def test_the_end_is_shown_with_its_bytes(jobs: JobSite) -> None:
    """By default of the first rank that has a log."""
    page = jobs.get("/jobs/1/log").text
    assert lines_of(page) == [(0, "one"), (4, "two EI0006"), (15, "three")]
    assert 'href="/jobs/1/log?rank=0&amp;at=4#b4"' in page


def test_pieces_follow_each_other_whole(jobs: JobSite, job: Job) -> None:
    """From the end by `older` to the beginning, and back by `newer`: each line once, none cut."""
    jobs.write(jobs.directory(job).rank_log(0), numbered(15_000))
    wanted = [(number * 10, f"line{number:05d}") for number in range(15_000)]
    for link, start, backwards in (("↑", "/jobs/1/log?rank=0", True), ("↓", "/jobs/1/log?rank=0&at=0", False)):
        found: list[tuple[int, str]] = []
        address: str | None = start
        while address:
            page = jobs.get(address).text
            shown = lines_of(page)
            assert len(shown) <= PIECE // 10 + 1
            found = [*shown, *found] if backwards else [*found, *shown]
            match = re.search(f'<p><a href="([^"]*)">{link}', page)
            address = html.unescape(match[1]) if match else None
        assert found == wanted


@pytest.mark.usefixtures("job")
def test_an_address_within_a_line_shows_the_line(jobs: JobSite) -> None:
    """So that a link stays right however a page was cut."""
    assert lines_of(jobs.get("/jobs/1/log?rank=0&at=9").text)[0] == (4, "two EI0006")
    assert lines_of(jobs.get("/jobs/1/log?rank=0&at=99999").text)[0] == (0, "one")


def test_hostile_lines_run_nothing_and_break_nothing(jobs: JobSite, job: Job) -> None:
    """HTML, colours, direction marks, NUL, no UTF-8, a bar, and 10 MB in one line."""
    content = f"{HOSTILE}\n\x1b[31mred\x1b[0m \x00 end\n\x1b]0;title\x07x\n".encode()
    content += b"\xff\xfe bad\n 10%\r 20%\r 30%\r\n" + "全".encode() * 3_500_000 + b"\nlast\n"
    jobs.write(jobs.directory(job).rank_log(0), content)
    answer = jobs.get("/jobs/1/log?rank=0&at=0")
    assert "<img src=x" not in answer.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ufeff]", answer.text)
    shown = [text for _, text in lines_of(answer.text)]
    assert shown[0] == HOSTILE.replace("\u202e", r"\u202e")
    assert shown[1:5] == [r"red \x00 end", "x", "�� bad", " 30%"]
    assert len(answer.text) < 4 * PIECE + 20_000
    middle = jobs.get("/jobs/1/log?rank=0&at=5000000").text
    assert set(lines_of(middle)[0][1].strip("�")) == {"全"}
    assert lines_of(jobs.get("/jobs/1/log?rank=0").text)[-1][1] == "last"


def test_a_line_of_one_character_a_byte_cut_keeps_its_characters(jobs: JobSite, job: Job) -> None:
    """No piece of a long line begins or ends within a character."""
    jobs.write(jobs.directory(job).rank_log(0), b"x" + "全".encode() * PIECE)
    address: str | None = "/jobs/1/log?rank=0&at=0"
    told = ""
    while address:
        page = jobs.get(address).text
        told += "".join(text for _, text in lines_of(page))
        match = re.search('<p><a href="([^"]*)">↓', page)
        address = html.unescape(match[1]) if match else None
    assert told == "x" + "全" * PIECE


def test_searches_go_on_from_hit_to_hit(jobs: JobSite, job: Job) -> None:
    """Forward and back; what is found is marked, in its line."""
    jobs.write(jobs.directory(job).rank_log(0), "EI0006 a\nb\nEI0006 c\nei0006 d\n")
    first = jobs.get("/jobs/1/log?rank=0&q=EI0006").text
    assert re.search(r'<li id="b0" class="hit">.*<mark>EI0006</mark> a', first)
    following = html.unescape(re.findall(r'href="([^"]*)">↓', first)[0])
    second = jobs.get(following.partition("#")[0]).text
    assert re.search(r'<li id="b11" class="hit">', second)
    third = jobs.get(html.unescape(re.findall(r'href="([^"]*)">↓', second)[0]).partition("#")[0]).text
    assert "not found" in third
    assert 'class="hit"' not in third
    back = jobs.get("/jobs/1/log?rank=0&q=EI0006&at=11&way=back").text
    assert re.search(r'<li id="b0" class="hit">', back)
    cased = jobs.get("/jobs/1/log?rank=0&q=ei0006&case=any&at=12").text
    assert re.search(r'<li id="b20" class="hit">.*<mark>ei0006</mark>', cased)
    assert 'value="any" checked' in cased


def test_a_hit_in_a_very_long_line_is_shown(jobs: JobSite, job: Job) -> None:
    """Though the line does not fit the page."""
    jobs.write(jobs.directory(job).rank_log(0), b"one\n" + b"x" * 100 + b"near" + b"x" * 10**6 + b"far" + b"x" * 10**6)
    for text in ("near", "far"):
        page = jobs.get(f"/jobs/1/log?rank=0&q={text}").text
        assert re.search(rf'class="hit">.*<mark>{text}</mark>', page)


def test_a_search_of_a_long_log_stops_and_goes_on(jobs: JobSite, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request looks through some of it; the next goes on where it was, and finds what lies behind."""
    monkeypatch.setattr("daemon.face.web.log_search.MOST", 1 << 20)
    jobs.write(jobs.directory(job).rank_log(0), b"-" * (3 << 20) + b"needle")
    address = "/jobs/1/log?rank=0&q=needle"
    for _ in range(3):
        page = jobs.get(address).text
        assert "not found so far" in page
        address = html.unescape(re.findall(r'href="([^"#]*)#hit">search further', page)[0])
    assert 'class="hit"' in jobs.get(address).text


def test_hostile_words_are_searched_as_they_are(jobs: JobSite, job: Job) -> None:
    """Nothing of them is a pattern, and nothing of them runs."""
    jobs.write(jobs.directory(job).rank_log(0), f"a.*b {HOSTILE} \n")
    assert "<mark>a.*b</mark>" in jobs.get("/jobs/1/log?rank=0&q=a.%2Ab").text
    assert "<img" not in jobs.get("/jobs/1/log?rank=0&q=%3Cimg%20src%3Dx").text
    assert jobs.get("/jobs/1/log?rank=0&q=%ff%00").status_code == 200


def test_tabs_are_those_that_have_a_log(jobs: JobSite, job: Job) -> None:
    """Ranks, scheduler, evaluation, shims and stacks; and the events."""
    directory = jobs.directory(job)
    jobs.write(directory.output / "log" / "scheduler.log", "met\n")
    jobs.write(directory.step(1, Step.TRAIN).log, "shim\n")
    jobs.write(directory.step(1, Step.TRAIN).stacks / "rank_1.txt", "Thread\n")
    jobs.write(directory.step(1, Step.EVALUATE).stdout, "bleu\n")
    page = jobs.get("/jobs/1/log").text.partition('class="log-page"')[0]
    tabs = re.findall(r'<a href="(/jobs/1/[^"]*)"(?: aria-current="page")?>([^<]*)</a>\n', page)
    assert [label for _, label in tabs] == ["0", "scheduler", "evaluation", "shim: training", "stacks 1", "events"]
    found = [lines_of(jobs.get(html.unescape(href)).text)[0][1] for href, _ in tabs[:-1]]
    assert found == ["one", "met", "bleu", "shim", "Thread"]


def test_logs_of_earlier_attempts_are_there(jobs: JobSite, job: Job) -> None:
    """Each beside the others."""
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), State.TRAINING, attempt=2)
    jobs.write(jobs.directory(job).earlier_output(1) / "log" / "rank_1" / "mindformer.log", "before\n")
    page = jobs.get("/jobs/1/log?attempt=1").text
    assert lines_of(page) == [(0, "before")]
    assert "attempt=1" in page
    assert lines_of(jobs.get("/jobs/1/log").text)[0] == (0, "one")
    assert jobs.get("/jobs/1/log?attempt=3").status_code == 404


def test_events_are_shown_as_the_command_shows_them(jobs: JobSite, job: Job) -> None:
    """A line for people; what is no event as it is."""
    jobs.write(jobs.directory(job).events, EVENT + '{"event": "cut <b>')
    shown = [text for _, text in lines_of(jobs.get("/jobs/1/events").text)]
    assert shown == ["2026-11-24 09:14:07 WARNING rank_exited rank=3", '{"event": "cut <b>']
    assert jobs.get("/jobs/1/events/raw").text == EVENT + '{"event": "cut <b>'


@pytest.mark.parametrize("path", ("/jobs/1/log", "/jobs/1/events"))
def test_no_log_yet_is_said(jobs: JobSite, path: str) -> None:
    """Also where there is no directory."""
    job = jobs.add("glm", *TRAINING)
    assert "there is no log yet" in jobs.get(path).text
    jobs.directory(job).path.rmdir()
    answer = jobs.get(path)
    assert (answer.status_code, "there is no log yet" in answer.text) == (200, True)


@pytest.mark.parametrize("ending", ("log", "log/raw?rank=0", "events", "events/raw", "log?rank=0&q=a"))
def test_of_no_job_there_is_nothing(jobs: JobSite, ending: str) -> None:
    """And of no root either."""
    assert jobs.get(f"/jobs/7/{ending}").status_code == 404
    assert jobs.get(f"/jobs/..%2f1/{ending}").status_code == 404
    assert jobs.get(f"/jobs/1%00/{ending}").status_code == 404


@pytest.mark.parametrize(
    "query",
    ("rank=2", "rank=-1", "rank=..", "rank=0%2f..%2f..", "rank=%00", "of=plan", "of=../plan.json", "of=%00",
     "rank=0&attempt=0", "rank=0&attempt=.."),
)  # fmt: skip
def test_an_address_names_no_file(jobs: JobSite, job: Job, query: str) -> None:
    """What is not on the list is not there."""
    jobs.write(jobs.directory(job).plan, ELSEWHERE)
    for ending in ("log?", "log/raw?"):
        answer = jobs.get(f"/jobs/1/{ending}{query}")
        assert answer.status_code == 404
        assert ELSEWHERE not in answer.text


def _directory(path: Path, _other: Path) -> None:
    path.mkdir()


def _fifo(path: Path, _other: Path) -> None:
    os.mkfifo(path)


def _dangling(path: Path, _other: Path) -> None:
    path.symlink_to("nowhere")


def _link(path: Path, other: Path) -> None:
    path.symlink_to(other)


def _link_on_the_way(path: Path, other: Path) -> None:
    path.parent.rmdir()
    (other.parent / "mindformer.log").write_text(ELSEWHERE)
    path.parent.symlink_to(other.parent)


@pytest.mark.parametrize("instead", (_directory, _fifo, _dangling, _link, _link_on_the_way))
def test_what_is_no_file_is_not_there(jobs: JobSite, job: Job, instead: Callable[[Path, Path], None]) -> None:
    """Nor what lies elsewhere: a rank writes there, and could have the page show what only glmd may read."""
    other = jobs.write(jobs.directory(jobs.add("other")).path / "in" / "plan.json", ELSEWHERE)
    path = jobs.directory(job).rank_log(0)
    path.unlink()
    instead(path, other)
    for address in ("log?rank=0", "log/raw?rank=0"):
        answer = jobs.get(f"/jobs/1/{address}")
        assert answer.status_code == 404
        assert ELSEWHERE not in answer.text
    assert jobs.get("/api/v1/jobs/1/log?rank=0").status_code == 404
    assert "there is no log yet" in jobs.get("/jobs/1/log").text


def test_a_directory_that_leads_elsewhere_is_not_followed(jobs: JobSite, job: Job) -> None:
    """Be it the job's own."""
    other = jobs.add("other")
    jobs.write(jobs.directory(other).rank_log(0), ELSEWHERE)
    path = jobs.directory(job).path
    path.rename(path.with_name("aside"))
    path.symlink_to(jobs.directory(other).path)
    assert jobs.get("/jobs/1/log?rank=0").status_code == 404


def test_a_log_that_must_not_be_read_is_not_now(jobs: JobSite, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says why; who may not read it is not told that there is none."""

    def refuse(_top: Path, path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("daemon.face.web.job_files.opened_below", refuse)
    for address in ("/jobs/1/log?rank=0", "/jobs/1/log/raw?rank=0", "/jobs/1/events"):
        answer = jobs.get(address)
        assert (answer.status_code, "Permission denied" in answer.text) == (503, True)
    assert job.id == 1


def test_raw_is_the_whole_file_and_any_part_of_it(jobs: JobSite, job: Job) -> None:
    """As a file to be saved; a download that broke off goes on."""
    content = b"<script>\xff" + bytes(range(256)) * 4000
    jobs.write(jobs.directory(job).rank_log(1), content)
    answer = jobs.get("/jobs/1/log/raw?rank=1")
    assert answer.content == content
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="job-1-rank-1-attempt-1.log"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    part = jobs.get("/jobs/1/log/raw?rank=1", range="bytes=5-9")
    assert (part.status_code, part.content) == (206, content[5:10])
    assert part.headers["content-range"] == f"bytes 5-9/{len(content)}"


def test_what_comes_is_told_by_bytes(jobs: JobSite, job: Job) -> None:
    """The lines from a byte on; a line that is not written to its end comes again."""
    path = jobs.directory(job).rank_log(0)
    with path.open("a") as stream:
        stream.write("<b>fo")
    told = jobs.get("/api/v1/jobs/1/log?rank=0&at=15").json()
    assert told["lines"] == [{"at": 15, "text": "three"}, {"at": 21, "text": "<b>fo"}]
    assert (told["next"], told["end"], told["size"]) == (21, 26, 26)
    with path.open("a") as stream:
        stream.write("ur\n")
    told = jobs.get("/api/v1/jobs/1/log?rank=0&at=21").json()
    assert (told["lines"], told["next"]) == ([{"at": 21, "text": "<b>four"}], 29)


def asked(jobs: JobSite, which: str) -> Asked:
    """Return what a stream asks."""
    site = Site.of(PagePlan.of(Settings(root=jobs.root.path)))
    return Asked(site, read_words(Language.EN), {"job": which}, {})


def test_a_page_at_the_end_follows(jobs: JobSite, job: Job) -> None:
    """While the job is at work; the stream tells how long the log is, and a new attempt makes the page anew."""
    page = jobs.get("/jobs/1/log?rank=0").text
    assert 'data-live="/events?of=log%3A1%3Arank%3A1%3A0"' in page
    assert 'data-log="/api/v1/jobs/1/log?rank=0"' in page
    before = log.live(asked(jobs, "1:rank:1:0"))
    assert before.cells["bytes"] == "21"
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), State.TRAINING, attempt=2)
    assert log.live(asked(jobs, "1:rank:2:0")).revision != before.revision
    assert "data-log" not in jobs.get("/jobs/1/log?rank=0&at=0&q=one").text
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), State.FAILED)
    assert "data-log" not in jobs.get("/jobs/1/log?rank=0").text


@pytest.mark.usefixtures("job")
def test_both_languages_have_the_page(jobs: JobSite) -> None:
    """And its links keep what was chosen."""
    page = jobs.get("/jobs/1/log?rank=0&lang=zh").text
    assert "搜索" in page
    assert "/jobs/1/log?rank=0&amp;lang=zh&amp;at=4#b4" in page
