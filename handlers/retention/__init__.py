"""What is kept of jobs that are over, for how long, and how the rest is removed."""
