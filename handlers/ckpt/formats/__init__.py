"""The forms of checkpoint and strategy files: read, walked, framed."""
