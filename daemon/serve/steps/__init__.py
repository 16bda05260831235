"""Starting a step outside of this process, and noticing its end."""
