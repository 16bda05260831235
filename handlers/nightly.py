"""A nightly cycle's trigger: drops its YAML into the inbox, like any user."""

import io
import re
from datetime import UTC, datetime
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import publish_bytes
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.host.reach import reach

_MOST = 64 << 20
"""Bytes of a template: as many as `inbox.max_bytes` may allow."""


def run_name(name: str, scheduled: datetime) -> str:
    """Return the name of cycle `name`'s run of the time `scheduled`, as `nightly-20261124T013000Z`.

    In UTC: one name a run, also in the hour that the end of summer time repeats. Raises ValueError for a `name` that
    is none for a file, or a time without a zone.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or scheduled.tzinfo is None:
        raise ValueError(f"cycle {name!r} at {scheduled} gives no name")
    return f"{name}-{scheduled.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def is_run_of(name: str, run: str) -> bool:
    """Say whether `run` is what `run_name` calls one of cycle `name`'s runs."""
    return is_run(run) and cycle_of(run) == name


def cycle_of(run: str) -> str:
    """Return of which cycle `run`, which `is_run`, is one."""
    return run.rpartition("-")[0]


def is_run(name: str) -> bool:
    """Say whether `name` is what `run_name` calls a run of some cycle."""
    return re.fullmatch(r"[A-Za-z0-9_-]+-[0-9]{8}T[0-9]{6}Z", name) is not None


def drop(
    template: Path,
    inbox: Path,
    name: str,
    *,
    scheduled: datetime,
    devices: str | None = None,
    continue_from: str | None = None,
) -> Path:
    """Publish `template` in `inbox` as cycle `name`'s run of the time `scheduled`; return the file's path.

    What is given of `devices` and `continue_from` goes into the `glmd:` section, made where there is none; all else,
    anchors and comments too, stays. The file is called `run_name` and `.yaml`, so dropping a run again gives the same.
    Raises BadInputError for a template that cannot be used, and ValueError as `run_name` does.
    """
    path = inbox / f"{run_name(name, scheduled)}.yaml"
    publish_bytes(path, content_of(template, name, devices=devices, continue_from=continue_from))
    return path


def content_of(template: Path, name: str, *, devices: str | None = None, continue_from: str | None = None) -> bytes:
    """Return what `drop` publishes of `template` for cycle `name`. Raises BadInputError and DoesNotAnswerError."""
    reach(template.absolute())
    try:
        text = read_bounded(template, _MOST).decode("utf-8")
    except (OSError, DamagedFileError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"nightly cycle {name}: template {template} cannot be read: {error}", Code.NIGHT_TEMPLATE
        ) from error
    given = {"devices": devices, "continue_from": continue_from}
    values = {key: value for key, value in given.items() if value is not None}
    return (_with_section(text, values, template) if values else text).encode()


def _with_section(text: str, values: dict[str, str], template: Path) -> str:
    """Return `text` with `values` set in its `glmd:` section."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20  # never fold a line: paths and prompts stay as they were
    try:
        document = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{template}:{mark.line + 1}:{mark.column + 1}" if mark else str(template)
        raise BadInputError(f"{place}: {error.problem}", Code.NIGHT_TEMPLATE) from error
    except YAMLError as error:
        raise BadInputError(f"{template}: {error}", Code.NIGHT_TEMPLATE) from error
    if not isinstance(document, CommentedMap):
        raise BadInputError(f"{template}: a training's YAML is a mapping of names to values", Code.NIGHT_TEMPLATE)
    if document.get("glmd") is None:
        document["glmd"] = CommentedMap()
    section = document["glmd"]
    if not isinstance(section, CommentedMap):
        raise BadInputError(f"{template}: glmd must be a mapping, not {section!r}", Code.NIGHT_TEMPLATE)
    section.update(values)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
