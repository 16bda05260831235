"""A job's way from its row to its end."""
