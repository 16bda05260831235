"""What every handler may raise."""

from handlers.codes import Code


class HandlerError(Exception):
    """Base of the handlers' errors; its text says what, where, why, and what the user can do.

    Its code tells programs the kind. A class of one kind has it for all its errors; others get one where they are
    raised, which tests/unit/handlers/test_codes.py sees to.
    """

    code = Code.GLMD_DEFECT

    def __init__(self, message: str, code: Code | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class BadInputError(HandlerError):
    """The user's input cannot be used (exit code 2)."""


class RefusedError(HandlerError):
    """The input is readable but inconsistent; acting on it would be silently wrong (exit code 3)."""
