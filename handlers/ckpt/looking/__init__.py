"""Looking at what is there: in rows, against a manifest, against another file."""
