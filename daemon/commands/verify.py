"""`glmd verify`: whether a merged checkpoint is still what was written, and MindSpore loads it as such."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.arguments import ConfigOption, JsonOption, RootOption, settings_of
from daemon.commands.terminal.progress import progress
from handlers.ckpt import Problem, Verification
from handlers.ckpt import verify as verify_output
from handlers.ckpt.copying.finite import named
from handlers.ckpt.publishing.manifest import NAME
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.merging import deep_verify
from handlers.merging.deep_verify import DeepVerification
from handlers.printable import printable, to_json
from handlers.units.byte_sizes import format_size

NOT_AS_WRITTEN = 1


def verify(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A directory that glmd merge wrote, with manifest.json.", show_default=False
        ),
    ],
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Also load it with the MindSpore of training.python.")] = False,
    json_: JsonOption = False,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Compare a merged checkpoint with its manifest."""
    if not (directory / NAME).is_file():
        raise BadInputError(
            f"{directory}: no {NAME} is there; name the directory that a checkpoint was merged into",
            Code.VERIFY_NO_MANIFEST,
        )
    python = _training_python(root, config) if deep else None
    with progress("verify_progress", "verifying") as shown:
        found = verify_output(directory, shown)
    loaded = None
    if python is not None and found.ok:
        with progress("deep_verify_progress", "loading with MindSpore", unit=lambda count: f"{count:.0f}") as shown:
            loaded = deep_verify.deep_verify(directory, python, shown)
    problems = (*found.problems, *(loaded.problems if loaded else ()))
    if json_:
        typer.echo(to_json(_as_json(directory, found, loaded, problems)))
    else:
        for line in (*map(str, problems), *_verdict(directory, found, loaded, problems)):
            typer.echo(printable(line))
    raise typer.Exit(NOT_AS_WRITTEN if problems else 0)


def _training_python(root: Path | None, config: Path | None) -> Path:
    python = settings_of(root, config).training.python
    if not os.access(python, os.X_OK):
        raise BadInputError(
            f"training.python: {python} is no interpreter; --deep needs one with MindSpore: set it, or say "
            "GLMD_TRAINING__PYTHON=/path/to/bin/python",
            Code.TRAINING_NO_INTERPRETER,
        )
    return python


def _verdict(
    directory: Path, found: Verification, loaded: DeepVerification | None, problems: Sequence[Problem]
) -> list[str]:
    warnings = [named(found.not_finite)] if found.not_finite else []
    if problems:
        return [*warnings, f"{directory} differs from its manifest: {len(problems)} problem{'s' * (len(problems) > 1)}"]
    files, parameters = found.manifest.files, sum(len(file.parameters) for file in found.manifest.files)
    what = f"{len(files)} file{'s' * (len(files) > 1)}, {parameters} parameters, {format_size(found.manifest.size)}"
    how = "every byte is" if found.hashed else "names, shapes and types are (it was merged without hashes)"
    lines = [*warnings, f"{directory}: {what}: {how} as {NAME} says"]
    if loaded is not None:
        lines.append(f"MindSpore {loaded.mindspore} loads the same {loaded.compared} parameters")
    return lines


def _as_json(
    directory: Path, found: Verification, loaded: DeepVerification | None, problems: Sequence[Problem]
) -> dict[str, object]:
    return {
        "ok": not problems,
        "path": str(directory),
        "files": [file.name for file in found.manifest.files],
        "parameters": sum(len(file.parameters) for file in found.manifest.files),
        "bytes": found.manifest.size,
        "hashed": found.hashed,
        "mindspore": loaded.mindspore if loaded else None,
        "not_finite": {name: asdict(count) for name, count in found.not_finite.items()},
        "problems": [asdict(problem) for problem in problems],
    }
