"""Who tells a node to end its ranks: Slurm by a signal, the job's shim by a file, or that one's silence."""

import time

from handlers.codes import Code
from handlers.records.nodes import Control, NodesDir
from handlers.records.step_exit import Outcome
from handlers.shim.orders import Order
from handlers.shim.pulse import Pulse
from handlers.shim.wakeups import Wakeups


class NodeOrders:
    """See handlers.shim.orders.Orders. `lease` is for how long, in seconds, the job's shim may give no sign."""

    def __init__(self, directory: NodesDir, lease: float, wakeups: Wakeups) -> None:
        self._path = directory.control
        self._lease = lease
        self._wakeups = wakeups
        self._pulse = Pulse(time.monotonic())
        self.wants_stacks = False
        """Whether it is to be written down where the ranks are before they are ended."""

    def stop(self) -> Order | None:
        """Return why the ranks of this node are to end now; None while they are to go on."""
        if self._wakeups.stop is not None:
            return Order(Outcome.ENDED_OUTSIDE, f"stopped by {self._wakeups.stop.name}", Code.SHIM_STOPPED)
        control = Control.now(self._path)
        now = time.monotonic()
        if control is None:
            self._pulse.miss(now)
            return None
        self._pulse.look(control.seq, now)
        if control.stop is not None:
            self.wants_stacks = control.stacks
            return Order(Outcome.CANCELLED, control.stop, Code.SHIM_STOPPED)
        if self._pulse.still > self._lease:
            reason = f"the shim of the job gave no sign for {self._lease:g} s (slurm.lease)"
            return Order(Outcome.ENDED_OUTSIDE, reason, Code.SLURM_NODE_LOST)
        return None
