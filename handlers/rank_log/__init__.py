"""What the ranks' logs say: how far a training is, and what a rank said last."""
