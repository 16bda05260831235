"""Who tells a training to end: a signal to its shim, and on a node of several what the shim of the job has written."""

import signal
from dataclasses import dataclass
from typing import Protocol

from handlers.codes import Code
from handlers.records.step_exit import Outcome
from handlers.shim.wakeups import Wakeups


@dataclass(frozen=True)
class Order:
    """Somebody wants the training to end."""

    outcome: Outcome
    reason: str
    code: Code


class Orders(Protocol):
    """Asked at every look, before a failure is: who ends a whole step signals its ranks as well."""

    def stop(self) -> Order | None:
        """Return why the training is to end now; None while it is to go on."""


def order_of(signum: signal.Signals) -> Order:
    """Return what a signal to a shim means on this host."""
    return Order(Outcome.CANCELLED, f"stopped by {signum.name}", Code.SHIM_STOPPED)


class BySignal:
    """TERM and INT to this process."""

    def __init__(self, wakeups: Wakeups) -> None:
        self._wakeups = wakeups

    def stop(self) -> Order | None:
        """See Orders."""
        return None if self._wakeups.stop is None else order_of(self._wakeups.stop)
