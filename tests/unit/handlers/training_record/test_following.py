"""Reading on in a record that grows."""

from pathlib import Path

from handlers.training_record.following import Follower
from handlers.training_record.record import NAME, RecordWriter
from handlers.training_record.rows import Header, Row

from .conftest import Making


def numbers(rows: list[Row]) -> list[int]:
    """Return which steps they are."""
    return [row.step.number for row in rows]


def test_each_row_comes_once(tmp_path: Path, header: Header, logged: Making) -> None:
    """As soon as it is whole; before there is a record there is none."""
    follower, writer = Follower(tmp_path / NAME), RecordWriter(tmp_path, header)
    assert follower.read() == []
    writer.append([logged(1), logged(2)], 7)
    assert numbers(follower.read()) == [1, 2]
    assert follower.read() == []
    with (tmp_path / NAME).open("a") as stream:
        stream.write('{"t":')
    assert follower.read() == []
    writer.append([logged(3)], 7)
    (third,) = follower.read()
    assert (third.step.number, third.header) == (3, header)


def test_a_record_that_is_thinned_meanwhile_gives_no_row_twice(tmp_path: Path, header: Header, logged: Making) -> None:
    """Nor does it keep one from coming."""
    follower, writer = Follower(tmp_path / NAME), RecordWriter(tmp_path, header, most_rows=100)
    found: list[int] = []
    for number in range(1, 501):
        writer.append([logged(number)], 7)
        found += numbers(follower.read())
    assert found == [*range(1, 501)]


def test_a_record_that_was_emptied_goes_on(tmp_path: Path, header: Header, logged: Making) -> None:
    """With what is written from then on."""
    follower = Follower(tmp_path / NAME)
    writer = RecordWriter(tmp_path, header)
    writer.append([logged(1)], 7)
    assert numbers(follower.read()) == [1]
    (tmp_path / NAME).write_text("")
    assert follower.read() == []
    writer.append([logged(2)], 7)
    assert numbers(follower.read()) == [2]
