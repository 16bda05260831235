"""Carrying a plan out: contents read from shards, compared, computed, looked at and written."""
