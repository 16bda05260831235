"""`glmd explain`: what a code of an error or a reason means, and what to do."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.terminal.table import table
from daemon.face.words.language import Language
from handlers.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.face.troubleshooting import Entry
    from daemon.face.words.reading import Words


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE", help="A code, as merge.replicas-differ, or a family of codes, as merge.", show_default=False
        ),
    ] = None,
    lang: Annotated[
        Language | None,
        typer.Option(metavar="LANGUAGE", help="en or zh; without it, by LC_ALL, LC_MESSAGES or LANG."),
    ] = None,
) -> None:
    """Explain the code of an error, or list all codes.

    The explanation says what the code means, and what to do.
    """
    from daemon.commands.speaking import words_of  # noqa: PLC0415 - `glmd --help` is to answer at once
    from daemon.face.troubleshooting import read_entries  # noqa: PLC0415 - the same

    words = words_of(lang)
    entries = read_entries(words.language)
    asked = (code or "").strip("[]")
    by_name = {str(known).lower(): entry for known, entry in entries.items()}
    if found := by_name.get(asked.lower()) or by_name.get(f"rank.{asked.lower()}"):
        typer.echo(f"{found.code}\n\n{found.text}")
        return
    shown = [entry for entry in entries.values() if not asked or entry.code.family == asked.lower()]
    if not shown:
        raise typer.BadParameter(_unknown(asked, by_name))
    _list(shown, words)


def _list(entries: "Iterable[Entry]", words: "Words") -> None:
    for line in table(words.row("codes"), [(str(entry.code), entry.summary) for entry in entries]):
        typer.echo(line)


def _unknown(asked: str, known: "Iterable[str]") -> str:
    close = get_close_matches(asked.lower(), list(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "`glmd explain` lists all codes"
    return printable(f"{asked!r} is no code of glmd; {hint}")
