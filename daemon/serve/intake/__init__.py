"""How work comes in, one file a source: drops, trees, nights. It ends in a row of the store."""
