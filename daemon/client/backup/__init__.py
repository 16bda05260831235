"""Backups of a root, made and looked at without the daemon: it may run meanwhile."""
