"""The loss that proves a merge: the same rows through the trained network and through one loaded from the merged file.

Runs in the environment of today's stack (Python 3.11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mindspore
from mindspore.dataset import MindDataset

if TYPE_CHECKING:
    from mindformers.tools.register import MindFormerConfig

ROWS = 8
"""The batch: the first rows of the training set, in the file's order."""


def loss_on_fixed_batch(network: mindspore.nn.Cell, config: MindFormerConfig) -> float:
    """Return `network`'s training loss on the first rows of the training set of `config`.

    Evaluated operator by operator (PyNative mode), in which the value depends on the weights and the rows alone.
    """
    settings = config.train_dataset
    rows = MindDataset(settings.data_loader.dataset_dir, settings.input_columns, shuffle=False).batch(ROWS)
    ids, labels = next(rows.create_tuple_iterator(num_epochs=1))
    mode = mindspore.get_context("mode")
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    try:
        network.set_train(True)  # else it returns logits and no loss
        return float(network(ids, labels).asnumpy())
    finally:
        mindspore.set_context(mode=mode)
