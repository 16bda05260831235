"""What lets MindFormers 1.9 train GLM-4 (its class ChatGLM2) on a CPU. Importing it is enough, before a model is built.

What has no CPU kernel is done by others: RmsNorm by small operators, the NPU's overflow register by a look at the
gradients. Runs in the environment of today's stack (Python 3.11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindformers.models.glm2 import glm2_modules, glm2_transformer
from mindformers.wrapper import wrapper
from mindspore import ops

if TYPE_CHECKING:
    from collections.abc import Sequence

    import mindspore


class Norm(glm2_modules.ChatGLM2RMSNorm):  # type: ignore[misc]  # MindFormers has no types
    """MindFormers' own norm of small operators, as it uses it on a 910A. That way lacks the Cast that it calls."""

    def __init__(self, *words: object, **named: object) -> None:
        super().__init__(*words, **named)
        self.cast = ops.Cast()


# MindSpore compiles these two, and knows a method by its `self`.


def _start(self: object, condition: object, value: object) -> tuple[object, object]:  # noqa: ARG001
    """Take the place of start_overflow_check: there is no register to clear."""
    return condition, value


def _status(
    self: object,  # noqa: ARG001
    status: object,  # noqa: ARG001
    gradients: Sequence[mindspore.Tensor],
) -> mindspore.Tensor:
    """Take the place of get_overflow_status: a gradient that is not finite is an overflow."""
    total = 0.0
    for gradient in gradients:
        total = total + ops.reduce_sum(ops.abs(gradient))
    return ops.logical_not(ops.isfinite(total))


glm2_modules.check_rmsnorm_big_kernel_valid = lambda: False
glm2_transformer.ChatGLM2RMSNorm = Norm
wrapper.MFTrainOneStepCell.start_overflow_check = _start
wrapper.MFTrainOneStepCell.get_overflow_status = _status
