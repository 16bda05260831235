"""`python -m handlers.shim`: see handlers.shim.run."""

import os
import sys

from handlers.ckpt.files.durable import UMASK
from handlers.shim.run import main

if __name__ == "__main__":
    os.umask(UMASK)
    code = main()
    sys.stderr.flush()
    os._exit(code)  # exit.json is written; the next job waits for this process, and not for its modules to be torn down
