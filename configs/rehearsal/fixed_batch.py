"""The loss that proves a merge: the same rows through the trained network and through one loaded from the merged file.

Runs in the training environment (Python 3.9).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import mindspore
from mindformers.dataset.keyword_gen_dataset import KeyWordGenDataset

if TYPE_CHECKING:
    from mindformers.tools.register import MindFormerConfig

ROWS = 8
"""The batch: the first rows of the training set, in the file's order."""


class UnsharedDataset(KeyWordGenDataset):  # type: ignore[misc]  # MindFormers has no types
    """The training set as every rank sees it whole, not its rank's share."""

    @classmethod
    def _check_device_rank_for_parallel(cls, _rank: int, _ranks: int) -> tuple[None, None]:
        return None, None


def loss_on_fixed_batch(network: mindspore.nn.Cell, config: MindFormerConfig) -> float:
    """Return `network`'s training loss on the first rows of the training set of `config`, which stays as it is.

    Evaluated operator by operator (PyNative mode), in which the value depends on the weights and the rows alone.
    """
    settings = copy.deepcopy(config.train_dataset)
    settings.data_loader.shuffle = False
    settings.batch_size = ROWS
    settings.drop_remainder = False
    rows = next(UnsharedDataset(settings).create_tuple_iterator(num_epochs=1))
    mode = mindspore.get_context("mode")
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    try:
        network.set_train(True)  # else GLM returns logits and no loss
        return float(network(*rows).asnumpy())
    finally:
        mindspore.set_context(mode=mode)
