"""What a person at a terminal sets going without being the daemon: a drop, the rehearsal, the diagnosis."""
