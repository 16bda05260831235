"""The words of the daemon's socket: what a client asks for, and what it is answered, be it later."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Self

_LONGEST_ANSWER = 5000
"""Characters; JSON needs up to twelve bytes for each."""


class RequestRefusedError(Exception):
    """The daemon answered, and the answer is no; the text says why, and the code to programs."""

    def __init__(self, answer: str, code: str = "") -> None:
        super().__init__(answer)
        self.code = code


@dataclass(frozen=True)
class Request:
    """What a client asks for."""

    action: str
    job: int | None = None
    prefix: str = ""
    """Of which `latest/PREFIX` it is about."""
    reason: str = ""
    """Why it is asked, in the words of who asks."""
    force: bool = False
    by: str = ""
    """For whom it is asked, where another asks for him: as the page does."""

    def packet(self) -> bytes:
        """Return what is sent: no more than an older daemon knows, where that is enough."""
        more = {"prefix": self.prefix, "reason": self.reason, "force": self.force, "by": self.by}
        message = {"action": self.action, "job": self.job, **{key: value for key, value in more.items() if value}}
        return json.dumps(message).encode()

    @classmethod
    def read(cls, packet: bytes) -> Self:
        """Read what a client sent; raises ValueError."""
        match json.loads(packet):
            case {"action": str(action), "job": None | int() as job, **more} if not isinstance(job, bool):
                match {"prefix": "", "reason": "", "force": False, "by": "", **more}:
                    case {"prefix": str(prefix), "reason": str(reason), "force": bool(force), "by": str(by)}:
                        return cls(action, job, prefix, reason, force, by)
        raise ValueError("not a request")


@dataclass(frozen=True)
class Reply:
    """What the daemon answers."""

    ok: bool
    answer: str
    code: str = ""
    """Of a no (handlers.codes); an older daemon says none."""

    def packet(self) -> bytes:
        """Return what is sent."""
        message = {key: value for key, value in asdict(self).items() if key != "code" or value}
        return json.dumps(message).encode()

    @classmethod
    def read(cls, packet: bytes) -> Self:
        """Read what a daemon answered; raises ValueError."""
        match json.loads(packet):
            case {"ok": bool(ok), "answer": str(answer), **more}:
                return cls(ok, answer, str(more.get("code", "")))
            case _:
                raise ValueError("not an answer")


class Pending:
    """An answer that is not known yet. To be settled once, in the loop's thread."""

    def __init__(self) -> None:
        self._reply: Reply | None = None
        self._then: Callable[[Reply], None] | None = None

    def settle(self, answer: str) -> None:
        """Answer yes."""
        self._settle(Reply(ok=True, answer=bounded(answer)))

    def refuse(self, error: RequestRefusedError) -> None:
        """Answer no."""
        self._settle(Reply(ok=False, answer=bounded(str(error)), code=error.code))

    def then(self, then: Callable[[Reply], None]) -> None:
        """Call `then` with the reply, now or when it is known."""
        self._then = then
        if self._reply is not None:
            then(self._reply)

    def _settle(self, reply: Reply) -> None:
        self._reply = reply
        if self._then is not None:
            self._then(reply)


def bounded(answer: str) -> str:
    """Return what fits into a packet."""
    return answer if len(answer) <= _LONGEST_ANSWER else f"{answer[:_LONGEST_ANSWER]}…"
