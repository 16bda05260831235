"""The merge step: shards become an output, and the output perhaps the latest one."""
