"""The daemon: it watches, remembers and decides; it never reads a checkpoint and never blocks on a handler."""
