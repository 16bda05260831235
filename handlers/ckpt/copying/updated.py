"""A weight's content with its LoRA adapter added."""

from typing import TYPE_CHECKING, Protocol

from handlers.ckpt.planning.plan import LoraPair, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 1 << 19
"""Bytes that are updated at once; whole elements, which the portions asked for may cut."""


class TensorContent(Protocol):
    """What gives a tensor's content."""

    def fill(self, view: memoryview, /) -> None:
        """Fill `view` with the next bytes."""


class ParameterContent(TensorContent, Protocol):
    """What gives the content of one of the shards' parameters."""

    def skip(self, count: int, /) -> None:
        """Skip the next `count` bytes, whole elements."""


class UpdatedContent:
    """Like Content, of `weight` with the adapter `pair`; `content_of` gives what reads them."""

    def __init__(
        self, weight: Parameter, pair: LoraPair, content_of: "Callable[[Parameter], ParameterContent]"
    ) -> None:
        from handlers.ckpt.copying.lora_update import Update  # noqa: PLC0415 - it imports numpy, which most merges do without

        def whole(half: Parameter) -> bytes:
            content = bytearray(half.nbytes)
            content_of(half).fill(memoryview(content))
            return bytes(content)

        self._update = Update.of(weight, pair, whole)
        self._content = content_of(weight)
        self._left = weight.nbytes
        self._at = 0
        self._block = memoryview(bytearray(min(BLOCK, weight.nbytes)))
        self._ready = self._block[:0]

    def fill(self, view: memoryview) -> None:
        """Fill `view` with the next bytes.

        Raises InconsistentError where the type cannot hold a result, and what the weight's own content raises.
        """
        while view:
            if not self._ready:
                self._ready = self._block[: self._left]
                self._content.fill(self._ready)
                self._update.apply(self._at, self._ready)
                self._at += len(self._ready)
                self._left -= len(self._ready)
            count = min(len(view), len(self._ready))
            view[:count] = self._ready[:count]
            view, self._ready = view[count:], self._ready[count:]

    def skip(self, count: int) -> None:
        """Skip the next `count` bytes, whole elements."""
        ready = min(count, len(self._ready))
        self._ready = self._ready[ready:]
        self._content.skip(count - ready)
        self._at += count - ready
        self._left -= count - ready
