"""What every handler may raise."""


class HandlerError(Exception):
    """Base of the handlers' errors; its text says what, where, why, and what the user can do."""


class BadInputError(HandlerError):
    """The user's input cannot be used (exit code 2)."""


class RefusedError(HandlerError):
    """The input is readable but inconsistent; acting on it would be silently wrong (exit code 3)."""
