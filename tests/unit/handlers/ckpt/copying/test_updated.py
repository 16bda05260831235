"""Promises of handlers.ckpt.copying.updated: the same bytes in whatever portions, though these cut elements."""

import numpy as np
import pytest

from handlers.ckpt.copying import updated
from handlers.ckpt.copying.lora_update import Update
from handlers.ckpt.copying.updated import UpdatedContent
from handlers.ckpt.layout import Layout, Tiling
from handlers.ckpt.planning.plan import LoraPair, Parameter

GENERATOR = np.random.default_rng(3)
CONTENTS = {
    "w": GENERATOR.standard_normal((30, 20)).astype("float16"),
    "a": GENERATOR.standard_normal((2, 20)).astype("float32"),
    "b": GENERATOR.standard_normal((30, 2)).astype("float32"),
}
PARAMETERS = {
    name: Parameter(
        name, each.shape, each.dtype.name.capitalize(), each.itemsize, Tiling(Layout.replicated(1, 2), each.shape), True
    )
    for name, each in CONTENTS.items()
}
PAIR = LoraPair(PARAMETERS["a"], PARAMETERS["b"], 4.0)


class Bytes:
    """A parameter's content that is in memory."""

    def __init__(self, parameter: Parameter) -> None:
        self._left = CONTENTS[parameter.name].tobytes()

    def fill(self, view: memoryview) -> None:
        """Give the next bytes."""
        view[:] = self._left[: len(view)]
        self._left = self._left[len(view) :]


@pytest.mark.parametrize("portion", (1, 3, 100, 5000))
@pytest.mark.parametrize("block", (2, 64, 1 << 20))
def test_portions_may_cut_elements(monkeypatch: pytest.MonkeyPatch, portion: int, block: int) -> None:
    """All give what the update of the whole weight at once gives."""
    monkeypatch.setattr(updated, "BLOCK", block)
    whole = memoryview(bytearray(CONTENTS["w"].tobytes()))
    Update("w", "Float16", CONTENTS["a"], CONTENTS["b"], 4.0).apply(0, whole)
    content, found = UpdatedContent(PARAMETERS["w"], PAIR, Bytes), memoryview(bytearray(len(whole)))
    for at in range(0, len(found), portion):
        content.fill(found[at : at + portion])
    assert bytes(found) == bytes(whole) != CONTENTS["w"].tobytes()
