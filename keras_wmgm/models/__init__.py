"""The pyramid, and the models over it."""

from keras_wmgm.models.hybrid_wmgm import HybridWMGM as HybridWMGM
from keras_wmgm.models.multiscale_model import (
    MultiscaleModel as MultiscaleModel,
)
from keras_wmgm.models.wavelet_pyramid import WaveletPyramid as WaveletPyramid
from keras_wmgm.models.wmgm import WMGM as WMGM
