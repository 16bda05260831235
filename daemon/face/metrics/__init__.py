"""What glmd knows, as samples for Prometheus: for `GET /metrics`, `glmd metrics` and the textfile alike."""
