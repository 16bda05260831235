"""Whether a merged output is good enough for others to go on from."""
