"""Every JSON file of a job's directory, and where it lies."""
