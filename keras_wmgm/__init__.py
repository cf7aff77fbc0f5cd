"""Multi-scale generative models of images, in Keras 3."""

from keras_wmgm import callbacks as callbacks
from keras_wmgm import data as data
from keras_wmgm import diffusion as diffusion
from keras_wmgm import factors as factors
from keras_wmgm import layers as layers
from keras_wmgm import metrics as metrics
from keras_wmgm import models as models
from keras_wmgm import networks as networks
from keras_wmgm import presets as presets
from keras_wmgm.models import WMGM as WMGM
from keras_wmgm.models import MultiscaleModel as MultiscaleModel
from keras_wmgm.models import WaveletPyramid as WaveletPyramid
from keras_wmgm.presets import from_preset as from_preset
from keras_wmgm.version import __version__ as __version__
