"""`python -m handlers.shim`: see handlers.shim.run."""

import os

from handlers.ckpt.durable import UMASK
from handlers.shim.run import main

if __name__ == "__main__":
    os.umask(UMASK)
    raise SystemExit(main())
