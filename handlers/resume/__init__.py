"""Whether a training that did not come to its end is taken up again, from where, and how MindFormers is told."""
