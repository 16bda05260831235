"""What the shim of a job sees of its nodes: who lives, who has failed, and how each ended."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from handlers.codes import Code
from handlers.records.nodes import NodesDir, NodeState
from handlers.records.step_exit import ProcessExit, Survivor
from handlers.records.witness import Witness
from handlers.shim.pulse import Pulse


@dataclass
class Seen:
    """One node."""

    number: int
    called: str
    """Its name, before it has told it itself."""
    pulse: Pulse
    state: NodeState = field(default_factory=NodeState)
    """The last that could be read."""
    failed_at: int | None = None
    """At which look it was seen first that a rank of it has failed."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.state.node or self.called

    @property
    def has_ended(self) -> bool:
        """Whether it has written its end."""
        return self.state.exit is not None


class NodesWatch:
    """Looks at the records of all nodes of a training."""

    def __init__(self, directory: NodesDir, nodes: int, silence: float, names: Sequence[str] = ()) -> None:
        self._directory = directory
        self._silence = silence
        now = time.monotonic()
        called = names if len(names) == nodes else [f"node {number}" for number in range(nodes)]
        self.nodes = tuple(Seen(number, name, Pulse(now)) for number, name in enumerate(called))
        self._looks = 0

    def look(self) -> None:
        """Read what all say now."""
        self._looks += 1
        for node in self.nodes:
            if node.has_ended:
                continue
            state, now = NodeState.now(self._directory.state(node.number)), time.monotonic()
            if state is None:
                # Before a node's shim has begun its file says nothing: that it comes is for `gather` to see.
                node.pulse.miss(now)
                continue
            node.state = state
            node.pulse.look(state.seq, now)
            if state.failed and node.failed_at is None:
                node.failed_at = self._looks

    @property
    def have_failed(self) -> bool:
        """Whether a rank of any has failed."""
        return any(node.failed_at is not None for node in self.nodes)

    @property
    def have_ended_well(self) -> bool:
        """Whether all have written their end, and it was good."""
        return all(node.state.exit is not None and node.state.exit.is_good for node in self.nodes)

    @property
    def have_ended(self) -> bool:
        """Whether all have written their end."""
        return all(node.has_ended for node in self.nodes)

    @property
    def silent(self) -> tuple[Seen, ...]:
        """Those that have begun, have not ended, and give no sign of life."""
        return tuple(node for node in self.nodes if not node.has_ended and node.pulse.still > self._silence)

    @property
    def without_end(self) -> tuple[Seen, ...]:
        """Those that have not written their end."""
        return tuple(node for node in self.nodes if not node.has_ended)

    @property
    def unfit(self) -> tuple[Seen, ...]:
        """Those that could not do their work, as they say: no rank of theirs has failed, and nobody has told them."""
        ended = ((node, node.state.exit) for node in self.nodes if not node.state.failed)
        return tuple(
            node
            for node, exit_ in ended
            if exit_ and exit_.why and not exit_.was_told and exit_.code != Code.GLMD_DEFECT
        )

    def witnesses(self) -> tuple[Witness, ...]:
        """Return what is known of all processes, those that failed in the order of their ends.

        Nodes' clocks differ: whose failure was seen earlier failed earlier, and of those seen at one look whose was so
        by the file server's clock.
        """
        order = sorted((node for node in self.nodes if node.failed_at is not None), key=_first_failure)
        witnesses = [witness for node in order for witness in node.state.failed]
        return (*(one for one in witnesses if one.exit is not None), *(one for one in witnesses if one.exit is None))

    def processes(self) -> Iterator[ProcessExit]:
        """Yield how the processes of all nodes ended."""
        for node in self.nodes:
            if node.state.exit is not None:
                yield from node.state.exit.processes

    def survivors(self) -> Iterator[Survivor]:
        """Yield what even KILL did not end, on whatever node."""
        for node in self.nodes:
            if node.state.exit is not None:
                yield from node.state.exit.survivors

    def frames(self) -> dict[int, str]:
        """Return in which function each rank stood."""
        return {
            rank: frame
            for node in self.nodes
            if node.state.exit is not None
            for rank, frame in node.state.exit.frames.items()
        }  # fmt: skip


def _first_failure(node: Seen) -> tuple[int, float]:
    ends = [one.exit.ended.timestamp() for one in node.state.failed if one.exit is not None]
    return node.failed_at or 0, min(ends, default=0.0) + node.state.clock_offset


def named(nodes: Sequence[Seen]) -> str:
    """Return what people call several nodes."""
    return ", ".join(node.name for node in nodes)
