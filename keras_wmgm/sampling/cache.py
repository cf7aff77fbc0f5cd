"""Inference models that have been made, to be used again."""

from typing import Any

import keras

from keras_wmgm.factors.factor import Factor
from keras_wmgm.sampling.inference_model import InferenceModel
from keras_wmgm.sampling.plan import Band

LIMIT = 8
"""How many inference models are kept. Each holds its compiled function."""


class InferenceModelCache:
    """The inference models of one model, by what they draw and how.

    Args:
        pyramid: The model's `WaveletPyramid`.
    """

    def __init__(self, pyramid: keras.layers.Layer):
        self.pyramid = pyramid
        self.made: dict[tuple, tuple[InferenceModel, list]] = {}

    def get(self, plan: list[Band]) -> InferenceModel:
        """Return the model of a plan.

        If there would be too many, the one that was made first is dropped.
        """
        values = [_attributes(band.factor) for band in plan]
        key = tuple(
            (band.name, *band.arguments.values(), *map(_identity, own.items()))
            for band, own in zip(plan, values, strict=True)
        )
        if key not in self.made:
            if len(self.made) == LIMIT:
                del self.made[next(iter(self.made))]
            # The values are kept, so that no other gets the identity of one.
            self.made[key] = (InferenceModel(self.pyramid, plan), values)
        return self.made[key][0]


def _attributes(factor: Factor) -> dict[str, Any]:
    """Return the attributes of a factor that its compiled code depends on."""
    keras_own = vars(Factor())
    return {n: v for n, v in vars(factor).items() if n not in keras_own}


def _identity(attribute):
    """Return what tells the value of an attribute from others.


    Numbers and names are compared by value, all else by identity: replacing
    a network changes the key, and changing its weights does not.
    """
    name, value = attribute
    plain = (bool, int, float, str, type(None))
    return name, value if isinstance(value, plain) else id(value)
