"""A parser for commands that cannot wait for typer: with the pydantic that it needs it takes 0.2 s to load."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from daemon.face.words.language import Language


class Parser(argparse.ArgumentParser):
    """Words errors as all commands do."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit with 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"Try '{self.prog} --help' for help.\n\nError: {message}\n")

    def add_language_option(self) -> None:
        """Take the language in which the command speaks to people."""
        text = "en or zh; default: by LC_ALL, LC_MESSAGES or LANG."
        self.add_argument("--lang", choices=tuple(Language), type=Language, metavar="LANGUAGE", help=text)

    def add_common_options(self, *, config: str = "--config") -> None:
        """Take the options that all commands take, `config` by a name that the command has no other use for."""
        root = Path(os.environ["GLMD_ROOT"]) if os.environ.get("GLMD_ROOT") else None
        text = "glmd's directory; or set GLMD_ROOT."
        self.add_argument("--root", type=Path, default=root, metavar="DIR", help=text)
        self.add_argument(config, type=Path, metavar="FILE", help="The settings file.")
