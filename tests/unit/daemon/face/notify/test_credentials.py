"""Promises of daemon.face.notify.credentials: what counts as a credential, and that no refusal says what is in it."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.face.notify.credentials import Credentials
from handlers.codes import Code
from handlers.errors import BadInputError

HUSHED = "sup3r-s3cret-t0ken"


def make(directory: Path, name: str, content: bytes | str, mode: int = 0o600) -> Path:
    """Write a credential."""
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def refusal(credentials: Credentials, name: str) -> BadInputError:
    """Return the error with which a credential is refused; neither it nor its causes have the secret."""
    with pytest.raises(BadInputError) as caught:
        credentials.read(name)
    error: BaseException | None = caught.value
    while error is not None:
        assert HUSHED not in f"{error!r} {error}"
        error = error.__context__
    return caught.value


@pytest.mark.parametrize("file_name", ("team", "notify_team"))
@pytest.mark.parametrize("end", ("", "\n", "\r\n"))
def test_a_credential_is_found_by_its_name(tmp_path: Path, file_name: str, end: str) -> None:
    """As a person wrote it, or as systemd calls it that was given the directory; an editor's line end is none of it."""
    make(tmp_path, file_name, HUSHED + end)
    assert Credentials(tmp_path).read("team").reveal() == HUSHED


def test_the_directory_is_that_of_the_environment(tmp_path: Path) -> None:
    """The unit gets it from systemd; by hand it is the one that the unit is given."""
    make(tmp_path, "team", HUSHED)
    assert Credentials.of({"CREDENTIALS_DIRECTORY": str(tmp_path)}).read("team").reveal() == HUSHED
    for environment in ({}, {"CREDENTIALS_DIRECTORY": ""}):
        assert Credentials.of(environment).directory == Path("/etc/glmd/credentials")


def test_a_credential_that_is_not_there(tmp_path: Path) -> None:
    """By hand, make it where it was looked for; in the unit, where the unit takes it from, and restart the unit."""
    error = refusal(Credentials(tmp_path), "team")
    assert error.code is Code.NOTIFY_NO_CREDENTIAL
    assert f"{tmp_path}/team" in str(error)
    error = refusal(Credentials(tmp_path / "glmd-notify.service", of_systemd=tmp_path), "team")
    assert error.code is Code.NOTIFY_NO_CREDENTIAL
    assert "/etc/glmd/credentials/team" in str(error)
    assert "systemctl restart glmd-notify" in str(error)


@pytest.mark.parametrize("name", ("", "../team", "/etc/passwd", "a/b", ".hidden", "a b", "a\n", "é", "x" * 101))
def test_a_name_is_a_plain_file_name(tmp_path: Path, name: str) -> None:
    """The settings cannot name a file elsewhere."""
    (tmp_path / "below").mkdir()
    make(tmp_path, "team", HUSHED)
    assert refusal(Credentials(tmp_path / "below"), name).code is Code.NOTIFY_CREDENTIAL_UNUSABLE


@pytest.mark.parametrize("mode", (0o640, 0o604, 0o620, 0o601))
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It says which, and how to close it."""
    path = make(tmp_path, "team", HUSHED, mode)
    error = refusal(Credentials(tmp_path), "team")
    assert error.code is Code.NOTIFY_CREDENTIAL_OPEN
    assert f"chmod 600 {path}" in str(error)


def test_systemd_may_let_the_units_user_read_by_an_acl(tmp_path: Path) -> None:
    """Its mask looks like a group that may read; a file for all is refused there, too."""
    credentials = Credentials(tmp_path / "unit", of_systemd=tmp_path)
    (tmp_path / "unit").mkdir()
    path = make(tmp_path / "unit", "notify_team", HUSHED, 0o440)
    assert credentials.read("team").reveal() == HUSHED
    path.chmod(0o444)
    assert refusal(credentials, "team").code is Code.NOTIFY_CREDENTIAL_OPEN


@pytest.mark.parametrize(
    ("content", "word"),
    (
        (b"", "empty"),
        (b"\n", "empty"),
        (b"  \n", "empty"),
        (f"{HUSHED}\nmore\n".encode(), "several lines"),
        (b"\xff\xfe" + HUSHED.encode(), "not UTF-8 text"),
        (f"{HUSHED}\x1b[0m".encode(), "cannot be seen"),
        (f"{HUSHED}\0".encode(), "cannot be seen"),
        (HUSHED.encode() + b"x" * 4096, "more than 4096 bytes"),
    ),
)
def test_what_is_no_line_of_text_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    """With what is wrong about it."""
    make(tmp_path, "team", content)
    error = refusal(Credentials(tmp_path), "team")
    assert error.code is Code.NOTIFY_CREDENTIAL_UNUSABLE
    assert word in str(error)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory; a FIFO, on whose writer nobody waits."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("directory", "fifo"):
        assert refusal(Credentials(tmp_path), name).code is Code.NOTIFY_CREDENTIAL_UNUSABLE


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_no_refusal_says_what_is_in_it(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is in it, it is read as it is, or refused with none of it."""
    directory = tmp_path_factory.mktemp("credentials")
    make(directory, "team", HUSHED.encode() + content)
    try:
        read = Credentials(directory).read("team").reveal()
    except BadInputError:
        refusal(Credentials(directory), "team")
    else:
        assert read.encode() == (HUSHED.encode() + content).rstrip(b"\r\n")
