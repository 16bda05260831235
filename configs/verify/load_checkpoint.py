"""Load checkpoint files with MindSpore and print what it found, one JSON object a line.

    python load_checkpoint.py FILE…

Runs in the training environment (Python 3.9 or later, MindSpore). First {"mindspore": its version}, then one line a
parameter: file, name, shape, dtype, hash (blake2b, 16 bytes, of the content). Exits 1 where MindSpore cannot load.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys


def content(value: object) -> bytes | memoryview:
    """Return a loaded value's bytes."""
    if isinstance(value, str):
        return value.encode("utf-32-le")
    if hasattr(value, "get_bytes"):  # newer MindSpore, and it knows types that numpy does not
        return value.get_bytes()
    array = value.asnumpy()
    return memoryview(array).cast("B") if array.size and array.flags.c_contiguous else array.tobytes()


# MindSpore prints warnings where it likes; what is printed here must stay apart from them.
results = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import mindspore  # noqa: E402 - after its output was turned away

print(json.dumps({"mindspore": mindspore.__version__}), file=results, flush=True)
for path in sys.argv[1:]:
    options = {"format": "safetensors"} if path.endswith(".safetensors") else {}
    if options and "format" not in inspect.signature(mindspore.load_checkpoint).parameters:
        sys.exit(f"MindSpore {mindspore.__version__} does not load safetensors; 2.4 and later do")
    loaded = mindspore.load_checkpoint(path, **options)
    for name in list(loaded):
        value = loaded.pop(name)
        found = {
            "file": path,
            "name": name,
            "shape": list(getattr(value, "shape", ())),
            "dtype": "str" if isinstance(value, str) else str(value.dtype),
            "hash": hashlib.blake2b(content(value), digest_size=16).hexdigest(),
        }
        print(json.dumps(found), file=results, flush=True)
