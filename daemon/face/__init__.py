"""Reads, and tells people and programs. It opens the store to read, and nothing else."""
