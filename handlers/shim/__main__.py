"""`python -m handlers.shim`: see handlers.shim.run."""

from handlers.shim.run import main

if __name__ == "__main__":
    raise SystemExit(main())
