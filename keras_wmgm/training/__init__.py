"""Training: parts and roles, losses, optimizers, averages and data."""
