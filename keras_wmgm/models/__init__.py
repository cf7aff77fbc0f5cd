"""The pyramid, and the models over it."""

from keras_wmgm.models.wavelet_pyramid import WaveletPyramid as WaveletPyramid
