"""Paths that a configuration names: data sets and vocabularies must be there before anything starts."""

import os
import stat
from pathlib import Path

from handlers.validate.document import Place
from handlers.validate.mindformers_rules import is_true
from handlers.validate.problem import Findings, quoted

_FILE_LOADERS = ("ADGenDataLoader",)
"""Loaders whose `dataset_dir` is, whatever its name, one file."""
_SHOWN = 300
"""So much of a path is shown: its end is what tells."""


def check_readable(place: Place, findings: Findings, *, file_only: bool = False) -> Path | None:
    """Return the path at `place` when it is an absolute one of a readable file or directory; else add the problem."""
    path = place.data
    if not isinstance(path, str) or not path:
        problem = place.problem(f"{quoted(path)} is no path")
    elif not path.startswith("/"):
        hint = "write it from the root (/…): every rank runs in a directory of its own"
        problem = place.problem(f"{quoted(path)} is a relative path", hint)
    elif reason := _unreadable(path, file_only=file_only):
        problem = place.problem(f"{quoted(path, _SHOWN)} {reason[0]}", reason[1])
    else:
        return Path(path)
    findings.problems.append(problem)
    return None


def _unreadable(path: str, *, file_only: bool) -> tuple[str, str] | None:
    """Return what is wrong with `path` and what to do, or None."""
    try:
        status = os.stat(path)  # noqa: PTH116 (a Path would do the same; os.access below takes the text too)
        directory = stat.S_ISDIR(status.st_mode)
        allowed = os.access(path, os.R_OK | os.X_OK if directory else os.R_OK, effective_ids=True)
    except (OSError, ValueError) as error:
        return _unreachable(path, error)
    if not directory and not stat.S_ISREG(status.st_mode):
        return "is neither a file nor a directory", ""
    if directory and file_only:
        return "is a directory", "name the file"
    if not allowed:
        return "cannot be read by this user", "the training runs as the same user"
    return ("is an empty file", "") if not directory and not status.st_size else None


def _unreachable(path: str, error: OSError | ValueError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "is not there", "put in the real path" if path.startswith("/path/to/") else ""
    if isinstance(error, PermissionError):
        return "cannot be reached by this user", "let it enter every directory on the way"
    reason = error.strerror if isinstance(error, OSError) else error
    return f"cannot be looked at: {reason}", ""


def check_data(root: Place, findings: Findings) -> None:
    """Find out whether the data sets and their vocabularies are there; that of evaluation only where it is done.

    MindFormers puts `train_dataset` over `train_dataset_task.dataset_config`, so that counts first.
    """
    _check_data_set(root, "train_dataset", findings)
    if is_true(root, "do_eval"):
        _check_data_set(root, "eval_dataset", findings)
    quiet = Findings()
    if vocabulary := root.get("processor", "tokenizer", "vocab_file"):
        check_readable(vocabulary, quiet, file_only=True)
    findings.warnings.extend(quiet.problems)  # training takes the data set's tokenizer, not this one


def _check_data_set(root: Place, key: str, findings: Findings) -> None:
    data_set = root.get(key) or root.get(f"{key}_task", "dataset_config")
    if data_set is None:
        findings.problems.append(root.missing(key))
        return
    if root.get(f"{key}_task") is None:
        findings.problems.append(root.missing(f"{key}_task", "it says how the data set is read"))
    _check_loader(data_set, findings)
    if vocabulary := data_set.get("tokenizer", "vocab_file"):
        check_readable(vocabulary, findings, file_only=True)


def _check_loader(data_set: Place, findings: Findings) -> None:
    loader = data_set.get("data_loader")
    if loader is None:
        findings.problems.append(data_set.missing("data_loader"))
        return
    kind = loader.get("type")
    if place := loader.get("dataset_dir"):
        check_readable(place, findings, file_only=kind is not None and kind.data in _FILE_LOADERS)
    elif files := loader.get("dataset_files"):
        for file in files if isinstance(files.data, list) else (files,):
            check_readable(file, findings, file_only=True)
    else:
        findings.problems.append(loader.missing("dataset_dir"))
