"""Sampling: from noise to images, batch by batch."""
