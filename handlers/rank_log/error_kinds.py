"""What is known of one kind of error: how it is recognized, what it means, and what to do about it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from handlers.codes import Code


@dataclass(frozen=True)
class KnownError:
    """One kind of error."""

    name: str
    pattern: re.Pattern[str]
    """Found in a line of the log of a rank that has it."""
    cause: str
    remedy: str
    """In its commands N is the job, R the rank and D the rank's device; see handlers.rank_log.advice."""
    may_pass: bool | None = None
    """Whether the same training may do better when it is simply begun again; None where that depends."""
    is_echo: bool = False
    """Whether a rank says so when *another* one is late or lost: then it is not where to look."""

    @property
    def code(self) -> Code:
        """What programs know it by."""
        return code_of(self.name)


def code_of(name: str) -> Code:
    """Return the code of the error called `name`: EI0006 is rank.EI0006, `EI…` is rank.EI, `no data` is rank.no-data.

    A family goes by the first of its components, so that others can come to it. Raises ValueError where there is none.
    """
    first = name.partition(",")[0].removesuffix("…")
    code = f"rank.{first.lower().replace(' ', '-') if ' ' in first else first}"
    try:
        return Code(code)
    except ValueError:
        raise ValueError(f"the error {name!r} has no code: add {code!r} to handlers/codes.py") from None


def by_code(
    name: str,
    cause: str,
    remedy: str,
    *,
    also: Sequence[str] = (),
    may_pass: bool | None = None,
    is_echo: bool = False,
) -> KnownError:
    """Describe an error with a code of CANN's, which is printed as `EI0006: …`, `EI0006 …` or `…(EI0006): …`.

    `also` are patterns of what is said in its stead: other codes, and texts without a code.
    """
    return by_text(name, "|".join((rf"\b{name}\b", *also)), cause, remedy, may_pass=may_pass, is_echo=is_echo)


def by_text(
    name: str, pattern: str, cause: str, remedy: str, *, may_pass: bool | None = None, is_echo: bool = False
) -> KnownError:
    """Describe an error that is known by what a line says."""
    # ASCII: a code between Chinese characters is a word of its own.
    return KnownError(name, re.compile(pattern, re.ASCII), cause, remedy, may_pass, is_echo)
