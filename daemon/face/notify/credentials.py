"""Credentials by name, as systemd lays them out: addresses with their tokens, and what webhooks are signed with.

`LoadCredential=notify:/etc/glmd/credentials` makes a file `notify_NAME` in $CREDENTIALS_DIRECTORY of each NAME in there
(systemd.exec(5), "Credentials": "the provided ID suffixed with _$FILENAME"). A unit has them as they were at its start.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.face.notify.secret import Secret
from handlers.codes import Code
from handlers.errors import BadInputError

VARIABLE = "CREDENTIALS_DIRECTORY"

_OF_SYSTEMD = Path("/run/credentials")
OF_UNIT = _OF_SYSTEMD / "glmd-notify.service"
"""Where they are while the unit runs."""
SOURCE = Path("/etc/glmd/credentials")
_PREFIX = "notify_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_BYTES = 4096


@dataclass(frozen=True)
class Credentials:
    """A directory of credentials, one a file."""

    directory: Path
    of_systemd: Path = _OF_SYSTEMD
    """Below it are the directories that systemd made: only a unit's user can enter one."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Credentials":
        """Return those that `environment` names, as systemd does; else those that glmd-notify has or gets."""
        named = environment.get(VARIABLE)
        return cls(Path(named) if named else OF_UNIT if OF_UNIT.is_dir() else SOURCE)

    def read(self, name: str) -> Secret:
        """Return what the credential `name` says. Raises BadInputError; its message holds nothing of it."""
        if not _NAME.fullmatch(name):
            raise BadInputError(
                "the name of a credential is a plain file name: letters, digits, dots, hyphens and underscores",
                Code.NOTIFY_CREDENTIAL_UNUSABLE,
            )
        for file_name in (name, _PREFIX + name):
            content = self._content(self.directory / file_name, name)
            if content is not None:
                return Secret(_one_line(content, name))
        raise BadInputError(f"credential {name}: there is none. {self._how_to_make(name)}", Code.NOTIFY_NO_CREDENTIAL)

    def _content(self, path: Path, name: str) -> bytes | None:
        """Return a file's first bytes, one more than there may be; None where there is no such file."""
        try:
            stream = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115 - its opener; closed below
        except FileNotFoundError:
            return None
        except OSError as error:
            why = f"{path}: {error.strerror}. {self._how_to_make(name)}"
            raise _unusable(name, why) from error
        with stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _unusable(name, f"{path} is no regular file")
            if status.st_mode & self._bits_of_others():
                raise BadInputError(
                    f"credential {name}: others may read it (mode {stat.S_IMODE(status.st_mode):04o}): "
                    f"chmod 600 {path}, and check whether you must replace it",
                    Code.NOTIFY_CREDENTIAL_OPEN,
                )
            return stream.read(_MOST_BYTES + 1)

    def _bits_of_others(self) -> int:
        # systemd gives its files to root, and lets the unit's user read by an ACL, whose mask looks like a group's bit.
        return 0o007 if self._is_of_systemd() else 0o077

    def _is_of_systemd(self) -> bool:
        return self.directory.is_relative_to(self.of_systemd)

    def _how_to_make(self, name: str) -> str:
        if self._is_of_systemd():
            return f"Make {SOURCE / name} (root's, mode 0600), then: systemctl restart glmd-notify"
        return f"Make {self.directory}/{name}, of mode 0600"


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO would wait for its writer


def _one_line(content: bytes, name: str) -> str:
    """Return the one line that a credential is. Raises BadInputError."""
    if len(content) > _MOST_BYTES:
        raise _unusable(name, f"it has more than {_MOST_BYTES} bytes: write one line, an address or a secret")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = None  # and no error is raised in here: its context would hold the bytes
    if text is None:
        raise _unusable(name, "it is not UTF-8 text")
    if not text.strip():
        raise _unusable(name, "it is empty")
    if "\n" in text:
        raise _unusable(name, "it has several lines: one address or secret is one credential")
    if not text.isprintable():
        raise _unusable(name, "it has characters that cannot be seen: write it again, by hand")
    return text


def _unusable(name: str, why: str) -> BadInputError:
    return BadInputError(f"credential {name}: {why}", Code.NOTIFY_CREDENTIAL_UNUSABLE)
