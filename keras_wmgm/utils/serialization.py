"""How this package's classes are named in a saved configuration."""

import keras

register = keras.saving.register_keras_serializable(package="keras_wmgm")
"""Class decorator: saved as `keras_wmgm>ClassName`."""
