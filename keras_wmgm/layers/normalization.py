"""The normalizations that a `normalization` argument may name."""

import math

import keras

from keras_wmgm.utils.checks import check_choice

NORMALIZATIONS = ("group", "batch", None)
MAX_GROUPS = 32


def check_normalization(value: str | None) -> str | None:
    """Return `value` if it names a normalization."""
    return check_choice("normalization", value, NORMALIZATIONS)


def build_normalization(
    kind: str | None, channels: int, **kwargs
) -> keras.layers.Layer:
    """Return a built normalization layer over `channels` channels.

    Group normalization takes the largest number of groups up to 32 that
    divides the channels. It is the default everywhere because a network
    shared by several scales would mix their batch statistics.
    """
    if kind == "group":
        groups = math.gcd(channels, MAX_GROUPS)
        layer = keras.layers.GroupNormalization(groups, **kwargs)
    elif kind == "batch":
        layer = keras.layers.BatchNormalization(**kwargs)
    else:
        layer = keras.layers.Identity(**kwargs)
    layer.build((None, None, None, channels))
    return layer
