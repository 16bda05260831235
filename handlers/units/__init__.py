"""Quantities as people write them: sizes, durations, sets of devices."""
