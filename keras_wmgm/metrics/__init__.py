"""Measures of generated images."""

from keras_wmgm.metrics.ssim import ssim as ssim
