"""What an output holds, and from which shards: decided before a byte is written."""
