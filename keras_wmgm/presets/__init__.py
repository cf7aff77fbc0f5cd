"""Models with a name, and as folders."""

from keras_wmgm.presets.folder import save_folder as save_folder
from keras_wmgm.presets.load import from_preset as from_preset
from keras_wmgm.presets.registry import DEFAULT_PRESET as DEFAULT_PRESET
from keras_wmgm.presets.registry import REGISTRY as REGISTRY
from keras_wmgm.presets.registry import Preset as Preset
from keras_wmgm.presets.registry import presets_of as presets_of
from keras_wmgm.presets.table import table as table
from keras_wmgm.presets.upload import upload as upload
