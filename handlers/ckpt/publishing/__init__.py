"""An output under its final name: its files and, last, its manifest."""
