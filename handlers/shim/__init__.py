"""The process between the daemon and a step: it starts the ranks, waits, ends them, and says how it went."""
