"""The pyramid, and the models over it."""

from keras_wmgm.models.multiscale_model import (
    MultiscaleModel as MultiscaleModel,
)
from keras_wmgm.models.wavelet_pyramid import WaveletPyramid as WaveletPyramid
from keras_wmgm.models.wmgm import WMGM as WMGM
from keras_wmgm.models.wsgm import WSGM as WSGM

CLASSES = {cls.__name__: cls for cls in (WSGM, WMGM, MultiscaleModel)}
"""The classes of models by name, for recipes and the command line."""
