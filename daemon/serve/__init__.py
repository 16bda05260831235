"""The one process that decides: its loop, and what a loop needs."""
