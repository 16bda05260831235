"""Promises of `glmd explain`."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer.testing

from daemon.commands.app import app
from daemon.face.words.language import Language
from handlers.codes import Code

HOUSE = Path(__file__).parents[4]


def explained(*words: str, locale: str = "C.UTF-8") -> tuple[int, str]:
    """Return the exit code and what was printed."""
    done = typer.testing.CliRunner(env={"LC_ALL": locale}).invoke(app, ["explain", *words])
    return done.exit_code, done.output


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("code", Code)
def test_every_code_is_explained(code: Code, language: Language) -> None:
    """By its entry in docs/troubleshooting.md, or docs/zh/troubleshooting.md."""
    exit_code, said = explained(code, "--lang", language)
    assert exit_code == 0
    assert bool(re.search(r"[\u4e00-\u9fff]", said)) is (language is Language.ZH)
    assert said.startswith(f"{code}\n\n")
    assert len(said.splitlines()) > 2


@pytest.mark.parametrize("word", ("rank.EI0006", "EI0006", "rank.ei0006", "[rank.EI0006]"))
def test_a_code_is_found_as_people_have_it(word: str) -> None:
    """With the brackets of an error's line, in small letters, as CANN prints it."""
    assert explained(word)[1].startswith("rank.EI0006\n")


@pytest.mark.parametrize(
    ("options", "locale", "is_chinese"),
    (((), "zh_CN.UTF-8", True), (("--lang", "en"), "zh_CN.UTF-8", False), (("--lang", "zh"), "C.UTF-8", True)),
)
def test_it_speaks_the_language_asked_for_or_that_of_the_locale(
    options: tuple[str, ...], locale: str, *, is_chinese: bool
) -> None:
    """An entry, and the list."""
    one, all_of_it = explained("EI0006", *options, locale=locale)[1], explained(*options, locale=locale)[1]
    assert ("处理：" in one) is is_chinese
    assert ("To do: " in one) is not is_chinese
    assert all_of_it.startswith("错误码" if is_chinese else "CODE")


def test_without_a_code_all_are_listed() -> None:
    """One a line, with what it means in short."""
    exit_code, said = explained()
    assert exit_code == 0
    lines = said.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [line.split()[0] for line in lines if len(line.split()) > 2]
    assert {line.split()[0] for line in lines} == {str(code) for code in Code}


def test_a_family_is_listed() -> None:
    """By the part before the dot."""
    exit_code, said = explained("hang")
    assert exit_code == 0
    assert {line.split()[0] for line in said.splitlines()[1:]} == {c for c in Code if c.family == "hang"}


@pytest.mark.parametrize(
    ("word", "hint"),
    (("merge.replica-differ", "merge.replicas-differ"), ("zzz", "lists all codes"), ("a\x1b[2J", r"\x1b")),
)
def test_what_is_no_code_is_bad_usage(word: str, hint: str) -> None:
    """Exit code 2, with the nearest codes."""
    exit_code, said = explained(word)
    assert exit_code == 2
    assert hint in said
    assert "\x1b" not in said


def test_the_wheel_has_the_entries_in_both_languages(tmp_path: Path) -> None:
    """An installed glmd has no docs/ beside it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=HOUSE, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    for language, said in (("en", "Replicas that must be equal are not"), ("zh", "本应相同的副本不一致")):
        told = subprocess.run(
            [sys.executable, "-c", "from daemon.cli import main; main()",
             "explain", "merge.replicas-differ", "--lang", language],
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "installed"), "PYTHONUTF8": "1"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert said in told.stdout
