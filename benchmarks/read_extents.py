"""Read just the bytes that a merge needs, for benchmarks/merge.py to measure: python read_extents.py NEEDED.json.

The file says which extents of which shards; imports nothing, so that its start costs nothing.
"""

import json
import os
import sys
from pathlib import Path

buffer = memoryview(bytearray(1 << 20))
for path, extents in json.loads(Path(sys.argv[1]).read_text()).items():
    descriptor = os.open(path, os.O_RDONLY)
    for start, size in extents:
        offset, end = start, start + size
        while offset < end:
            offset += os.preadv(descriptor, [buffer[: end - offset]], offset)
    os.close(descriptor)
