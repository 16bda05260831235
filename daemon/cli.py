"""The program `glmd`: its commands, and what each kind of error means to the shell."""

import os
import sys
from importlib import import_module

from daemon.commands import COMMANDS, COMMON, OWN_PARSER
from handlers.host.shortages import shortage

FAILED = 1
INTERRUPTED = 130
_OTHERS_WRITE = 0o002


def main() -> int:
    """Run the command line and return the exit code."""
    os.umask(os.umask(_OTHERS_WRITE) | _OTHERS_WRITE)  # whatever else the user's lets through
    try:
        _run(sys.argv[1:])
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if short := shortage(error):
            print(f"glmd: {short}", file=sys.stderr)  # noqa: T201 - this is where errors come out
            return FAILED
        from daemon.commands.exit_codes import as_json, exit_code, text_with_code  # noqa: PLC0415 - imports every room; seldom needed

        code = exit_code(error)
        if code is None:
            raise
        sys.stdout.flush()
        words = as_json(error) if "--json" in sys.argv[1:] else text_with_code(error)
        print(words, file=sys.stderr)  # noqa: T201 - this is where errors come out
        return code
    return 0


def _run(words: list[str]) -> None:
    command = _place_of_the_command(words)
    if command < len(words) and (name := words[command]) in OWN_PARSER:
        module, _, function = COMMANDS[name][0].partition(":")
        common = _for(name, words[:command])
        getattr(import_module(module), function)([*common, *words[command + 1 :]])
        return
    from daemon.commands.app import app  # noqa: PLC0415 - typer, which half of this exists to do without

    app(prog_name="glmd")


def _for(name: str, common: list[str]) -> list[str]:
    """Return the common options as the command `name` takes them, where its own --config means something else."""
    match name:
        case "merge":  # the training's YAML; ours mean nothing to it
            return []
        case "compare":  # whether configurations are compared
            return ["--config-file" + word.removeprefix("--config") if _is_config(word) else word for word in common]
        case _:
            return common


def _is_config(word: str) -> bool:
    return word.partition("=")[0] == "--config"


def _place_of_the_command(words: list[str]) -> int:
    """Return where the command stands, behind common options."""
    place = 0
    while place < len(words) and words[place].partition("=")[0] in COMMON:
        place += 1 if "=" in words[place] else 2
    return place


if __name__ == "__main__":
    sys.exit(main())
