"""Checks a dropped YAML before it becomes a job."""
