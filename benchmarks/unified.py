"""Run in the environment of today's MindSpore: its own merge of safetensors, for benchmarks/merge.py to measure.

    python unified.py SOURCE STRATEGY_FILE OUTPUT_DIRECTORY

Without its waiting for as long as more than half of the host's memory is in use.
"""

import sys
from types import SimpleNamespace

import mindspore as ms
from mindspore.parallel import transform_safetensors

transform_safetensors.psutil = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(percent=0))
source, strategy, output = sys.argv[1:]
ms.parallel.unified_safetensors(f"{source}/checkpoint", strategy, output)
