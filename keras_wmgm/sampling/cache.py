"""Inference models that have been made, to be used again."""

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
        self.made: dict[tuple, InferenceModel] = {}

    def get(self, plan: list[Band]) -> InferenceModel:
        """Return the model of a plan; the oldest of too many is dropped."""
        key = tuple(
            (band.name, *band.arguments.values(), *_attributes(band.factor))
            for band in plan
        )
        if key not in self.made:
            if len(self.made) == LIMIT:
                del self.made[next(iter(self.made))]
            self.made[key] = InferenceModel(self.pyramid, plan)
        return self.made[key]


def _attributes(factor: Factor) -> list[tuple]:
    """Return the attributes of a factor that its compiled code depends on.

    Numbers and names are compared by value, all else by identity: replacing
    a network changes the key, and changing its weights does not.
    """
    plain = (bool, int, float, str, type(None))
    return [
        (name, value if isinstance(value, plain) else id(value))
        for name, value in sorted(vars(factor).items())
        if not name.startswith("_") and name != "learning"
    ]
