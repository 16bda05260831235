"""Promises of handlers.inputs.search: which file is the newest, and which does not count."""

import itertools
import os
import time
from pathlib import Path

import pytest

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.inputs.search import By, Search
from handlers.shards.closing import QUIET


def put(path: Path, age: float = 0.0, content: bytes = b"data") -> Path:
    """Write a file that was modified so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def record(path: Path, age: float = 0.0) -> Path:
    """Write a MindRecord with its index."""
    put(path.with_name(f"{path.name}.db"), age)
    return put(path, age)


def later(*allowed: Path) -> Search:
    """Return a search that comes when all that was written has rested."""
    return Search(allowed or (Path("/"),), now=time.time() + QUIET + 1)


def newest(pattern: str | Path, by: By = By.TIME) -> Path:
    """Return what is found."""
    return later().newest(str(pattern), by).path


def test_the_newest_by_time_and_by_name(tmp_path: Path) -> None:
    """By when it was modified, or by name with numbers as numbers."""
    put(tmp_path / "part10.json", age=500)
    put(tmp_path / "part9.json", age=100)
    put(tmp_path / "part2.json", age=300)
    assert newest(tmp_path / "*.json") == tmp_path / "part9.json"
    assert newest(tmp_path / "*.json", By.NAME) == tmp_path / "part10.json"


def test_the_name_counts_with_its_directories(tmp_path: Path) -> None:
    """Data sets of one name lie in directories with dates."""
    for day, age in (("2026-11-09", 1), ("2026-11-28", 900), ("2025-12-31", 10)):
        put(tmp_path / day / "train.json", age)
    assert newest(tmp_path / "*" / "train.json", By.NAME).parent.name == "2026-11-28"
    assert newest(f"{tmp_path}/**/train.json").parent.name == "2026-11-09"


def test_of_the_same_time_the_name_decides(tmp_path: Path) -> None:
    """So that it is the same one each time it is looked for."""
    paths = [put(tmp_path / f"{name}.json") for name in "cab"]
    for path in paths:
        os.utime(path, ns=(10**18, 10**18))
    assert newest(tmp_path / "*.json").name == "c.json"


@pytest.mark.parametrize(
    "name", (".new.json", "new.json.tmp", "new.json.part", "new.json~", "#new.json#", ".new.json.X1y2")
)
def test_what_no_tool_has_finished_is_none(tmp_path: Path, name: str) -> None:
    """Hidden files and those that tools call temporary, whatever the pattern."""
    put(tmp_path / "old.json", age=100)
    put(tmp_path / name)
    for pattern in ("*", ".*json*", "*json*"):
        if pattern != ".*json*":
            assert newest(tmp_path / pattern).name == "old.json"
    with pytest.raises(BadInputError, match="matches no file"):
        newest(tmp_path / name.replace("[", "[[]"))


def test_one_that_is_being_written_is_passed_over(tmp_path: Path) -> None:
    """However long ago the last byte came: as long as somebody has it open for writing, the one before counts."""
    put(tmp_path / "old.json", age=100)
    with (tmp_path / "new.json").open("ab") as stream:
        stream.write(b"half")
        stream.flush()
        search = later()
        assert search.newest(f"{tmp_path}/*.json", By.TIME).path.name == "old.json"
        assert "new.json is open for writing" in search.passed_over[0]
    assert newest(tmp_path / "*.json").name == "new.json"


def test_a_thousand_that_are_not_whole_are_not_all_told(tmp_path: Path) -> None:
    """A reason is for people to read."""
    put(tmp_path / "old.json", age=100)
    for number in range(1000):
        put(tmp_path / f"{number}.json", content=b"")
    search = later()
    assert search.newest(f"{tmp_path}/*.json", By.TIME).path.name == "old.json"
    assert len(search.passed_over) == 4
    assert search.passed_over[-1] == "997 more are skipped"


def test_one_that_has_just_changed_is_passed_over(tmp_path: Path) -> None:
    """Also where its modification time is old, as of a copy that keeps it."""
    put(tmp_path / "old.json", age=100)
    put(tmp_path / "new.json", age=50)
    search = Search(now=time.time() + 1)
    with pytest.raises(BadInputError, match=r"no whole file: .*new\.json was changed \d s ago.*old\.json") as told:
        search.newest(f"{tmp_path}/*.json", By.TIME)
    assert told.value.code is Code.NIGHT_INPUT


def test_a_clock_that_was_set_back_makes_nothing_whole(tmp_path: Path) -> None:
    """A change that is still to come may be going on."""
    put(tmp_path / "new.json")
    with pytest.raises(BadInputError, match="in the future"):
        Search(now=time.time() - 3600).newest(f"{tmp_path}/*.json", By.TIME)


def test_a_record_counts_with_its_index(tmp_path: Path) -> None:
    """Without the index, or while that is being written, nothing can be read."""
    record(tmp_path / "a.mindrecord", age=100)
    new = put(tmp_path / "b.mindrecord")
    assert newest(tmp_path / "*.mindrecord").name == "a.mindrecord"
    index = put(tmp_path / "b.mindrecord.db")
    with index.open("r+b"):
        assert newest(tmp_path / "*.mindrecord").name == "a.mindrecord"
    journal = put(tmp_path / "b.mindrecord.db-journal")
    assert newest(tmp_path / "*.mindrecord").name == "a.mindrecord"
    journal.unlink()
    assert later().newest(f"{tmp_path}/*", By.TIME).files == (new, index)
    assert newest(tmp_path / "*.mindrecord*") == new


def test_an_index_of_another_name_is_a_file(tmp_path: Path) -> None:
    """Only beside what it is of does NAME.db belong to NAME."""
    put(tmp_path / "a.mr", age=50)
    put(tmp_path / "a.mr.db", age=1)
    assert later().newest(f"{tmp_path}/*", By.TIME).files == (tmp_path / "a.mr", tmp_path / "a.mr.db")
    put(tmp_path / "base.db")
    assert newest(tmp_path / "*").name == "base.db"


def test_parts_count_together(tmp_path: Path) -> None:
    """MindSpore finds the others from the first one, whichever the pattern matches; all have to be whole."""
    record(tmp_path / "old.mindrecord", age=500)
    parts = [record(tmp_path / f"new.mindrecord{number:02}") for number in range(12)]
    for pattern in ("*.mindrecord*", "new.mindrecord??", "new.mindrecord11"):
        found = later().newest(f"{tmp_path}/{pattern}", By.TIME)
        assert found.path == parts[0]
        assert found.files == tuple(itertools.chain(*((part, part.with_name(f"{part.name}.db")) for part in parts)))
    with parts[7].open("r+b"):
        assert newest(tmp_path / "*.mindrecord*").name == "old.mindrecord"
    parts[3].unlink()
    search = later()
    assert search.newest(f"{tmp_path}/*.mindrecord*", By.TIME).path.name == "old.mindrecord"
    assert "part 3 is missing" in search.passed_over[0]


def test_what_lies_elsewhere_is_passed_over(tmp_path: Path) -> None:
    """A link out of where jobs may read does not lead a night there."""
    secret = put(tmp_path / "secret" / "all.json")
    inside = put(tmp_path / "data" / "old.json", age=100)
    (tmp_path / "data" / "new.json").symlink_to(secret)
    search = later(tmp_path / "data")
    assert search.newest(f"{tmp_path}/data/*.json", By.NAME).path == inside
    assert search.newest(f"{tmp_path}/data/*.json", By.TIME).path == inside
    assert "no job may read" in search.passed_over[0]
    assert newest(tmp_path / "data" / "*.json").name == "new.json"


@pytest.mark.parametrize("name", ("a\nb.json", "\x1b[31m.json", "a\udcff.json"))
def test_names_that_do_not_print_are_passed_over(tmp_path: Path, name: str) -> None:
    """They could be written into no YAML that people read."""
    put(tmp_path / "old.json", age=100)
    put(tmp_path / name)
    assert newest(tmp_path / "*.json").name == "old.json"


@pytest.mark.parametrize("name", ("it's: [a] #1.json", "中文 數據.json", '"quoted".json', "100%.json", "*.json"))
def test_other_names_are_names(tmp_path: Path, name: str) -> None:
    """Whatever YAML may make of them."""
    put(tmp_path / name)
    assert newest(tmp_path / "*.json").name == name


def test_directories_empty_files_and_devices_are_none(tmp_path: Path) -> None:
    """Nor is a link that leads nowhere."""
    put(tmp_path / "old.json", age=100)
    (tmp_path / "dir.json").mkdir()
    put(tmp_path / "empty.json", content=b"")
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    assert newest(tmp_path / "*.json").name == "old.json"


def test_every_data_set_of_a_pattern(tmp_path: Path) -> None:
    """By name; as long as one of them is not whole, none counts: the training might read it."""
    for name in ("part10.json", "part9.json", ".hidden.json"):
        put(tmp_path / name)
    assert [each.path.name for each in later().every(f"{tmp_path}/*.json")] == ["part9.json", "part10.json"]
    with (tmp_path / "part9.json").open("ab"), pytest.raises(BadInputError, match=r"part9\.json is not whole: .*lsof"):
        later().every(f"{tmp_path}/*.json")
    with pytest.raises(BadInputError, match="matches no file"):
        later().every(f"{tmp_path}/nothing/*.json")


def test_a_pattern_is_looked_for_once(tmp_path: Path) -> None:
    """What one YAML says twice is the same file, though a newer one came in between."""
    put(tmp_path / "a.json", age=100)
    search = later()
    first = search.newest(f"{tmp_path}/*.json", By.TIME)
    put(tmp_path / "b.json")
    assert search.newest(f"{tmp_path}/*.json", By.TIME) == first
