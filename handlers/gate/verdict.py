"""verdict.json: what the gate found of a merged output."""

from handlers.records.record import Record


class Verdict(Record):
    """Whether an output may become `latest`."""

    passed: bool
    reason: str = ""
    """Why not, for people, as `loss 2.31 is 9 % above 2.12 of job 40`; empty where it passed."""
    code: str = ""
    """The same for programs (handlers.codes)."""
