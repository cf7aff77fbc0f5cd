"""Multi-scale generative models of images, in Keras 3."""

# ruff: noqa: E402, I001
from keras_wmgm.utils.backend import choose_backend as _choose_backend
from keras_wmgm.utils.streams import prepare_command_line as _prepare

_prepare()
_choose_backend()

from keras_wmgm import callbacks as callbacks
from keras_wmgm import data as data
from keras_wmgm import diffusion as diffusion
from keras_wmgm import factors as factors
from keras_wmgm import layers as layers
from keras_wmgm import metrics as metrics
from keras_wmgm import models as models
from keras_wmgm import networks as networks
from keras_wmgm import optimizers as optimizers
from keras_wmgm import presets as presets
from keras_wmgm import recipes as recipes
from keras_wmgm.models import WMGM as WMGM
from keras_wmgm.models import WSGM as WSGM
from keras_wmgm.models import MultiscaleModel as MultiscaleModel
from keras_wmgm.models import WaveletPyramid as WaveletPyramid
from keras_wmgm.presets import DEFAULT_PRESET as DEFAULT_PRESET
from keras_wmgm.presets import from_preset as from_preset
from keras_wmgm.version import __version__ as __version__
