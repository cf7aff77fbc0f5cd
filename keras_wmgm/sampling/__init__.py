"""Sampling: images from noise, batch by batch."""
