"""Hearing of files: inotify or polling. It knows neither jobs nor the store."""
