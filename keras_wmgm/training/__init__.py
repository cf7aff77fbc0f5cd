"""Training: who learns, by which optimizer, from what, and what is told."""
