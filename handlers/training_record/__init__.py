"""What a training was, step by step: steps.jsonl for programs and curves, and an event file for TensorBoard."""
