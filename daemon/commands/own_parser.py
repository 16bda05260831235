"""A parser for commands that cannot wait for typer: with the pydantic that it needs it takes 0.2 s to load."""

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Words errors as all commands do."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit with 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"Try '{self.prog} --help' for help.\n\nError: {message}\n")
