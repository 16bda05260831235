"""One module a trigger or a step: they get paths and plain data and return frozen results."""
