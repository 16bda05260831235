"""What a training is made from beside its YAML: which files, whether they are whole, whether they have changed."""
