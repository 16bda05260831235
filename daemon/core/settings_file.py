"""Reading a settings file: bounded, as YAML, each problem with line and column."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from daemon.core.settings import SettingsError
from daemon.core.wrong_settings import WrongSettingsError, refuse_keys, refused, unreadable
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.validate.document import Document, parse
from handlers.validate.problem import ConfigError

MOST_BYTES = 1 << 16
"""Of a settings file: ten times what ours has, and read in well under a second."""

Model = TypeVar("Model", bound=BaseModel)


def read(path: Path, model: type[Model]) -> Model:
    """Return what the file at `path` says as a `model`, which adds what the environment says. Raises SettingsError."""
    document = _document(path)
    try:
        return model.model_validate(_data(document, model))
    except ValidationError as error:
        raise refused(document, model, error) from error


def _document(path: Path) -> Document | None:
    """Return what a settings file holds; None for nothing but comments. Raises SettingsError."""
    try:
        content = read_bounded(path, MOST_BYTES)
    except (OSError, DamagedFileError) as error:
        raise unreadable(path, error) from error
    if all(line.strip()[:1] in {b"", b"#"} for line in content.splitlines()):
        return None
    try:
        document = parse(content, str(path))  # which bounds depth, numbers, and what aliases stand for
    except ConfigError as error:
        raise WrongSettingsError(error.name, error.problems) from error
    if document.problems:
        raise WrongSettingsError(document.name, document.problems)
    return document


def _data(document: Document | None, model: type[BaseModel]) -> dict[str, object]:
    """Return it as YAML 1.2 has it. Raises SettingsError."""
    if document is None:
        return {}
    try:
        data = YAML(typ="safe").load(document.content)
    except (YAMLError, ValueError) as error:  # the latter for a date that no calendar has
        raise SettingsError(f"{document.name}: {error}") from error
    if not isinstance(data, dict):
        raise SettingsError(f"{document.name}: settings must be a mapping of names to values, as `root: /var/glm`")
    refuse_keys(document, data, model.model_fields)
    return data
