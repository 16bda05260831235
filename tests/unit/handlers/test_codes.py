"""Promises of the codes: one enum, each one used, and none of our errors without one."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from daemon.core.control import NotRunningError, RequestRefusedError
from daemon.core.error_codes import code_of
from daemon.core.store import DamagedStoreError, StoreError
from handlers.ckpt import codes as ckpt
from handlers.ckpt.errors import CkptError, DamagedFileError, InconsistentError
from handlers.codes import Code
from handlers.errors import BadInputError, HandlerError, RefusedError
from handlers.rank_log.known_errors import KNOWN_ERRORS, SIGNALS
from handlers.validate.problem import ConfigError, Problem

HOUSE = Path(__file__).parents[3]
SOURCES = [path for wing in ("daemon", "handlers") for path in sorted((HOUSE / wing).rglob("*.py"))]
OF_ANY_KIND = {"HandlerError", "BadInputError", "RefusedError"}
"""Classes whose errors have nothing in common but what they mean to the shell: each is raised with its code."""
ENUMS = {HOUSE / "handlers" / "codes.py", HOUSE / "handlers" / "ckpt" / "codes.py"}


def subclasses(of: type[Exception]) -> Iterator[type[Exception]]:
    """Yield all that are defined in glmd."""
    for one in of.__subclasses__():
        if one.__module__.partition(".")[0] in {"daemon", "handlers"}:
            yield one
            yield from subclasses(one)


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Yield each call in the sources, with the name of what is called."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path, node, getattr(node.func, "id", getattr(node.func, "attr", ""))


@pytest.fixture(scope="module", autouse=True)
def _all_imported() -> None:
    """Let every class of an error be known."""
    for path in SOURCES:
        if path.name != "__main__.py":
            import_module(".".join(path.relative_to(HOUSE).with_suffix("").parts))


def test_codes_are_short_and_plain() -> None:
    """FAMILY.KIND in small letters and hyphens, but for what CANN and the kernel print in capitals."""
    for code in Code:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.([a-z]+(-[a-z]+)*|E[A-Z0-9]\w{0,4}|SIG[A-Z]+)", code), code
        assert len(code) <= 40
        assert code.name == re.sub(r"[.-]", "_", code).upper()


def test_the_library_has_its_part_of_the_enum() -> None:
    """It needs nothing else of glmd, and has no words of its own."""
    assert set(ckpt.Code) <= {str(code) for code in Code}


def test_every_code_is_used() -> None:
    """Somewhere in the sources, or by the table of what ranks' logs say."""
    text = "\n".join(path.read_text() for path in SOURCES if path not in ENUMS)
    of_table = {error.code for error in (*KNOWN_ERRORS, *SIGNALS)}
    library = {str(code): code for code in ckpt.Code}
    unused = [
        code
        for code in Code
        if code not in of_table
        and not re.search(rf"\bCode\.{code.name}\b", text)
        and not (code in library and re.search(rf"\bCode\.{library[code].name}\b", text))
    ]
    assert unused == []


def test_every_class_of_errors_has_a_code() -> None:
    """Its own, or one that is given with each error."""
    for kind in subclasses(HandlerError):
        assert isinstance(kind.code, Code), kind  # type: ignore[attr-defined]
        if kind.__name__ not in OF_ANY_KIND and not issubclass(kind, ConfigError):
            assert kind.code is not Code.GLMD_DEFECT, kind  # type: ignore[attr-defined]
    for other in (NotRunningError, *subclasses(NotRunningError)):
        assert isinstance(other.code, Code)  # type: ignore[attr-defined]
    assert list(subclasses(CkptError))


def test_every_error_of_a_general_class_is_raised_with_its_code() -> None:
    """`BadInputError("…")` alone would tell programs nothing."""
    bare = [
        f"{path}:{call.lineno}"
        for path, call, name in calls()
        if name in {*OF_ANY_KIND, "RequestRefusedError"}
        and len(call.args) < 2
        and not any(keyword.arg == "code" for keyword in call.keywords)
    ]
    assert bare == []


def test_every_problem_of_a_file_has_a_code() -> None:
    """Whether it refuses the file or only warns."""
    bare = [
        f"{path}:{call.lineno}"
        for path, call, name in calls()
        if name == "Problem"
        and path.is_relative_to(HOUSE / "handlers" / "validate")
        and not any(keyword.arg == "code" for keyword in call.keywords)
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("error", "code"),
    (
        (BadInputError("x", Code.DROP_NAME), Code.DROP_NAME),
        (RefusedError("x", Code.RANK_TABLE_REFUSED), Code.RANK_TABLE_REFUSED),
        (InconsistentError("x", ckpt.Code.REPLICAS_DIFFER), Code.MERGE_REPLICAS_DIFFER),
        (DamagedFileError("x"), Code.MERGE_DAMAGED),
        (NotRunningError("x"), Code.DAEMON_NOT_RUNNING),
        (RequestRefusedError("x", Code.JOB_OVER), Code.JOB_OVER),
        (DamagedStoreError("x"), Code.STORE_DAMAGED),
        (StoreError("x"), Code.STORE_UNUSABLE),
        (OSError(28, "No space left on device"), Code.HOST_DISK_FULL),
        (MemoryError(), Code.HOST_SHORTAGE),
        (KeyError("x"), Code.GLMD_DEFECT),
    ),
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_code_of_an_exception(error: Exception, code: Code) -> None:
    """Whatever class it has."""
    assert code_of(error) == code


def test_the_code_of_a_file_is_that_of_its_first_problem() -> None:
    """In the order of the file."""
    later, earlier = Problem(9, 1, "b", "m", code=Code.CONFIG_NUMBER), Problem(2, 5, "a", "m", code=Code.CONFIG_PREFIX)
    assert ConfigError("a.yaml", [later, earlier]).code is Code.CONFIG_PREFIX
