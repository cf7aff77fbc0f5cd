"""Samplers that have been made, to be used again."""

import keras

from keras_wmgm.factors.factor import Factor
from keras_wmgm.sampling.plan import Band
from keras_wmgm.sampling.sampler import Sampler

LIMIT = 8
"""Samplers that are kept. Each holds what was compiled for it."""


class SamplerCache:
    """The samplers of a model by what they draw and how.

    Args:
        pyramid: The model's `WaveletPyramid`.
    """

    def __init__(self, pyramid: keras.layers.Layer):
        self.pyramid = pyramid
        self.made: dict[tuple, Sampler] = {}

    def get(self, plan: list[Band]) -> Sampler:
        """Return the sampler of a plan; the oldest of too many is dropped."""
        key = tuple(
            (band.name, *band.arguments.values(), *_attributes(band.factor))
            for band in plan
        )
        if key not in self.made:
            if len(self.made) == LIMIT:
                del self.made[next(iter(self.made))]
            self.made[key] = Sampler(self.pyramid, plan)
        return self.made[key]


def _attributes(factor: Factor) -> list[tuple]:
    """Return a factor's attributes, of which the compiled drawing is made.

    Numbers and names count by their value, all else by identity: a network
    that is put in another's place counts, and its weights do not.
    """
    plain = (bool, int, float, str, type(None))
    return [
        (name, value if isinstance(value, plain) else id(value))
        for name, value in sorted(vars(factor).items())
        if not name.startswith("_") and name != "learning"
    ]
