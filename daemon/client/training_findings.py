"""What trains on this host, for `glmd doctor`: the interpreter, the checkout, and whether their versions fit."""

import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from daemon.client.finding import Finding, Verdict
from daemon.core.checking import mindformers_of
from daemon.core.settings import Settings
from handlers.mindformers.dialect import NEWEST_READ, OLDEST_READ, dialect_of, is_read
from handlers.mindformers.installed import Installed, find_installed
from handlers.mindformers.pairs import read_pairs
from handlers.mindformers.version import Version
from handlers.rank_log.tail import TAIL_BYTES
from handlers.training.entry import script_of

PATIENCE = 60.0
"""Seconds that the training interpreter gets to import MindSpore, from a cold disk."""
MOST_OUTPUT = 1 << 20
"""Bytes that it may print meanwhile."""

_VERSIONS = """
import json, importlib.metadata as m
import mindspore
try: formers = m.version("mindformers")
except m.PackageNotFoundError: formers = None
print("\\n" + json.dumps([mindspore.__version__, formers]))
"""


def of_training(settings: Settings) -> Iterator[Finding]:
    """Yield the findings; the first takes as long as the interpreter needs to import MindSpore."""
    finding, mindspore = ask_interpreter(settings.training.python)
    yield finding
    yield _checkout(settings)
    found = mindformers_of(settings)
    yield _mindformers(found)
    if found.version is not None:
        yield _pair(settings, found, found.version, mindspore)


def ask_interpreter(python: Path) -> tuple[Finding, str | None]:
    """Return whether `python` has MindSpore, and which; None where that is not known."""
    name = "training.python"
    advice = (
        "set training.python to the Python that has MindSpore and MindFormers; make demo builds one to rehearse with"
    )
    if not os.access(python, os.X_OK):
        return Finding(name, Verdict.MISSING, f"{python} is not there, or not executable", advice), None
    try:
        code, output, complaint = _run([str(python), "-c", _VERSIONS])
    except subprocess.TimeoutExpired:
        return Finding(name, Verdict.MISSING, f"{python} did not import mindspore within {PATIENCE:g} s", advice), None
    except OSError as error:
        return Finding(name, Verdict.MISSING, f"{python} cannot be run: {error.strerror}", advice), None
    if code != 0:
        return Finding(
            name, Verdict.MISSING, f"{python} cannot import mindspore: {_last_line(complaint)}", advice
        ), None
    try:
        mindspore, mindformers = json.loads(_last_line(output))
    except (ValueError, TypeError, RecursionError):
        what = f"{python} is no Python: asked for its versions, it answered: {_last_line(output):.100}"
        return Finding(name, Verdict.MISSING, what, advice), None
    text = f"{python} has mindspore {mindspore}, mindformers {mindformers or 'only from a checkout, if any'}"
    return Finding(name, Verdict.OK, text), str(mindspore)


def _run(command: list[str]) -> tuple[int, str, str]:
    """Run `command` and return its exit code and the end of each output. Raises OSError and TimeoutExpired.

    Into files, of which it cannot write more than MOST_OUTPUT: it may be any program, as one that never ends to print.
    """
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd="/",
            # Before it runs, for its children have to have the limit, too.
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (MOST_OUTPUT, MOST_OUTPUT)),  # noqa: PLW1509 - this process has one thread
        ) as process,
    ):
        try:
            code = process.wait(PATIENCE)
        except BaseException:
            process.kill()
            raise
        texts = []
        for stream in (output, errors):
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            texts.append(stream.read().decode("utf-8", "replace"))
    return code, texts[0], texts[1]


def _checkout(settings: Settings) -> Finding:
    script = script_of(settings.training.entry, settings.training.checkout)
    if script is None:
        module = settings.training.entry
        return Finding(
            "training.entry", Verdict.OK, f"{module} is a module; glmd cannot check it before the first training"
        )
    if os.access(script, os.R_OK):
        return Finding("training.checkout", Verdict.OK, f"{script} is there")
    advice = "set training.checkout to a MindFormers checkout, the directory that holds run_mindformer.py, "
    advice += "or training.entry to what runs in its place"
    return Finding("training.checkout", Verdict.MISSING, f"{script} is not there, or not readable", advice)


def _mindformers(found: Installed) -> Finding:
    name = "mindformers"
    if found.version is None:
        advice = 'name it: training.mindformers: "0.8"; until then glmd only warns where versions differ'
        return Finding(name, Verdict.NOTE, str(found), advice)
    text = f"{found}; YAMLs are checked by the rules of {dialect_of(found.version).name}"
    if not is_read(found.version):
        advice = (
            f"glmd knows {OLDEST_READ} to {NEWEST_READ}: look for a newer glmd, or try one short training and its merge"
        )
        return Finding(name, Verdict.NOTE, f"{text}, which nobody has compared with {found.version}", advice)
    return Finding(name, Verdict.OK, text)


def _pair(settings: Settings, found: Installed, version: Version, mindspore: str | None) -> Finding:
    """Hold the MindSpore there is against the one that MindFormers wants, by MindFormers' own words."""
    name, python = "mindspore", settings.training.python
    # Where settings name the version, the package is still that of the checkout or the interpreter.
    package = found.package or find_installed(settings.training.checkout, python).package
    pairs = None if package is None else read_pairs(package)
    wanted = () if pairs is None else pairs.of(version)
    has = f"mindspore {mindspore}" if mindspore else f"{python} has a mindspore of unknown version, or none"
    if pairs is None or not wanted:
        return Finding(name, Verdict.OK, f"{has}; MindFormers {found.text} does not say which it wants")
    wants = f"MindFormers {found.text} wants {' or '.join(map(str, wanted))}"
    advice = f"install it there: {python} -m pip install mindspore=={_release(wanted[0])}"
    try:
        there = Version.parse(mindspore or "")
    except ValueError:
        return Finding(name, Verdict.NOTE, f"{has}; {wants}", advice)
    if there in wanted:
        return Finding(name, Verdict.OK, f"{has}, as {wants}")
    if others := pairs.going_with(there):
        advice += f"; or set training.checkout to MindFormers {' or '.join(map(str, others))}"
    return Finding(name, Verdict.NOTE, f"{has} does not fit: {wants} (its VERSION_MAP.json)", advice)


def _release(version: Version) -> str:
    """Return `version` as packages are called."""
    return f"{version.major}.{version.minor}.{version.patch}"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
