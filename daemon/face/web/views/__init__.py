"""The pages, one module each: what is known becomes a dataclass, and a template of the same name shows it."""
