"""The names of this package's classes in saved configurations."""

import keras

register = keras.saving.register_keras_serializable(package="keras_wmgm")
"""Class decorator: saved as `keras_wmgm>ClassName`."""
