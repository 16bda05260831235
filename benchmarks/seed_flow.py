"""Run in the training environment: the merge by hand, for benchmarks/merge.py to measure.

    python seed_flow.py SOURCE STRATEGY_FILE OUTPUT

Transforms by rank into OUTPUT.transformed.ckpt, loads that again, drops names with `adam`, saves OUTPUT.
"""

import sys
from pathlib import Path

import mindspore as ms

source, strategy, output = sys.argv[1:]
files = {int(path.parent.name.rpartition("_")[2]): str(path) for path in Path(source).glob("checkpoint/rank_*/*.ckpt")}
transformed = f"{output}.transformed.ckpt"
needed = ms.rank_list_for_transform(0, strategy, None)
ms.transform_checkpoint_by_rank(0, {rank: files[rank] for rank in needed}, transformed, strategy, None)
loaded = ms.load_checkpoint(transformed)
ms.save_checkpoint([{"name": name, "data": value} for name, value in loaded.items() if "adam" not in name], output)
