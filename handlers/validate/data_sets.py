"""Data sets and vocabularies that a configuration names: they must be there before anything starts."""

from collections.abc import Iterator

from handlers.codes import Code
from handlers.mindformers.dialect import Dialect
from handlers.mindformers.loaders import DIRECTORY_OR_FILES, FORMATS, LOADERS, Loader, Reads
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY
from handlers.validate.input_paths import check_prefix, check_readable
from handlers.validate.mindformers_rules import is_true
from handlers.validate.problem import Findings, quoted

_INDEXED = (".bin", ".idx")
"""What Megatron's preprocessing makes of a corpus."""


def check_data(root: Place, dialect: Dialect, findings: Findings) -> None:
    """Find out whether the data sets and their vocabularies are there; that of evaluation only where it is done.

    MindFormers puts `train_dataset` over `train_dataset_task.dataset_config`, so that counts first.
    """
    _check_data_set(root, "train_dataset", dialect, findings)
    if is_true(root, "do_eval"):
        check_evaluation_data(root, dialect, findings)
    quiet = Findings()
    if vocabulary := root.get("processor", "tokenizer", "vocab_file"):
        check_readable(vocabulary, quiet, file_only=True)
    findings.warnings.extend(quiet.problems)  # training takes the data set's tokenizer, not this one


def check_inputs(root: Place, findings: Findings) -> None:
    """Find out whether the files of `glmd: inputs:` are there."""
    if (inputs := root.get(KEY, "inputs")) is not None:
        for place in inputs:
            check_readable(place, findings, file_only=True)


def check_evaluation_data(root: Place, dialect: Dialect, findings: Findings) -> None:
    """Find out whether the data set is there that MindFormers evaluates with."""
    _check_data_set(root, "eval_dataset", dialect, findings)


def _check_data_set(root: Place, key: str, dialect: Dialect, findings: Findings) -> None:
    data_set = root.get(key) or root.get(f"{key}_task", "dataset_config")
    if data_set is None:
        findings.problems.append(root.missing(key))
        return
    if root.get(f"{key}_task") is None:
        findings.problems.append(root.missing(f"{key}_task", "it says how the data set is read"))
    loader = data_set.get("data_loader")
    if loader is None:
        findings.problems.append(data_set.missing("data_loader"))
    else:
        _check_loader(loader, dialect, findings)
    if vocabulary := data_set.get("tokenizer", "vocab_file"):
        check_readable(vocabulary, findings, file_only=True)


def _check_loader(loader: Place, dialect: Dialect, findings: Findings) -> None:
    """Look at the data of a loader; where these versions have none of its name, all that is found is a warning."""
    kind = loader.get("type")
    if kind is None:
        _check_sources(loader, DIRECTORY_OR_FILES, dialect, findings)
        return
    name = kind.data if isinstance(kind.data, str) else ""
    if known := dialect.loader(name):
        _check_sources(loader, known, dialect, findings)
        return
    elsewhere = LOADERS.get(name)
    hint = "does the checkout, or an auto_register, bring it?"
    if elsewhere:
        hint = elsewhere.lifetime.why_not(dialect.since)
    findings.warnings.append(
        kind.problem(
            Code.CONFIG_DATA_LOADER, f"{quoted(kind.data)} is no data loader of MindFormers {dialect.name}", hint
        )
    )
    quiet = Findings()
    sources = elsewhere or DIRECTORY_OR_FILES
    if any(loader.get(*key.split(".")) for key in sources.sources):
        _check_sources(loader, sources, dialect, quiet)
    findings.warnings.extend((*quiet.warnings, *quiet.problems))


def _check_sources(loader: Place, known: Loader, dialect: Dialect, findings: Findings) -> None:
    for key, reads in known.sources.items():
        if place := loader.get(*key.split(".")):
            if reads is Reads.PARTS:
                _check_parts(place, dialect, findings)
            elif reads is Reads.HUB:
                _check_hub(loader, place, findings)
            else:
                _check_files(place, reads, findings)
            return
    first = next(iter(known.sources))
    if known.makes_up:
        hint = f"without {first} MindFormers makes up its data"
        findings.warnings.append(loader.key_problem(Code.CONFIG_NO_DATA, "names no data", hint))
    else:
        findings.problems.append(loader.missing(first))


def _check_files(place: Place, reads: Reads, findings: Findings) -> None:
    if reads is Reads.FILE:
        for file in _leaves(place):
            check_readable(file, findings, file_only=True)
    elif reads is Reads.PREFIX:
        check_prefix(place, _INDEXED, findings)
    elif reads is Reads.BLEND:
        for prefix in _prefixes(place, findings):
            check_prefix(prefix, _INDEXED, findings)
    else:
        check_readable(place, findings, directory_only=reads is Reads.DIRECTORY)


def _check_parts(place: Place, dialect: Dialect, findings: Findings) -> None:
    parts = [part for part in place if isinstance(part.data, dict)] if isinstance(place.data, list) else []
    if not parts:
        findings.problems.append(
            place.problem(Code.CONFIG_DATA_LOADER, f"{quoted(place.data)} is no list of data loaders")
        )
    for part in parts:
        _check_loader(part, dialect, findings)


def _prefixes(place: Place, findings: Findings) -> tuple[Place, ...]:
    """Return the prefixes of a blend, read as Megatron does: an even number may be weights and prefixes in turn."""
    if not isinstance(place.data, list):
        findings.problems.append(
            place.problem(
                Code.CONFIG_DATA_LOADER, f"{quoted(place.data)} is no list", "write - WEIGHT and - PREFIX lines"
            )
        )
        return ()
    blend = tuple(place)
    weighted = len(blend) % 2 == 0 and any(_is_number(weight) for weight in blend[::2])
    for weight in blend[::2] if weighted else ():
        if not _is_number(weight):
            hint = "weights and paths stand in turn, or there are paths alone"
            findings.problems.append(
                weight.problem(Code.CONFIG_DATA_LOADER, f"{quoted(weight.data)} is no weight", hint)
            )
    return blend[1::2] if weighted else blend


def _is_number(place: Place) -> bool:
    try:
        float(str(place.data))
    except ValueError:
        return False
    return True


def _check_hub(loader: Place, place: Place, findings: Findings) -> None:
    """Look at what `load_dataset` is asked for: `path` may name a directory, a format, or a data set on a hub."""
    name, files = place.data, loader.get("data_files")
    is_format = isinstance(name, str) and name in FORMATS
    if is_format:
        if files is None and loader.get("data_dir") is None:
            findings.problems.append(loader.missing("data_files", f"{quoted(name)} is a format: name the files"))
    elif isinstance(name, str) and name.count("/") <= 1 and not name.startswith(("/", ".", "~")) and name:
        hint = "it is downloaded; write a path from the root (/…) for one that is here"
        findings.warnings.append(
            place.problem(Code.CONFIG_DATA_HUB, f"{quoted(name)} is taken for the name of a data set on a hub", hint)
        )
    else:
        check_readable(place, findings)
    for file in _leaves(files) if files else ():
        text = str(file.data)
        # What stands beside the directory or data set that `path` names is its own; URLs and patterns are not files.
        if "://" not in text and not set("*?[") & set(text) and (is_format or text.startswith("/")):
            check_readable(file, findings)


def _leaves(place: Place) -> Iterator[Place]:
    """Yield what is no collection in `place`: a value, or those in a list or mapping of them."""
    if isinstance(place.data, list | dict):
        for inner in place:
            yield from _leaves(inner)
    else:
        yield place
