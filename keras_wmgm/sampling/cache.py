"""Samplers that have been made, to be used again."""

from typing import Any

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
        self.made: dict[tuple, tuple[Sampler, list]] = {}

    def get(self, plan: list[Band]) -> Sampler:
        """Return the sampler of a plan.

        Where there would be too many, the one that was made first is dropped.
        """
        values = [_attributes(band.factor) for band in plan]
        key = tuple(
            (band.name, *band.arguments.values(), *map(_identity, own.items()))
            for band, own in zip(plan, values, strict=True)
        )
        if key not in self.made:
            if len(self.made) == LIMIT:
                del self.made[next(iter(self.made))]
            # The values are held, so that no other gets the identity of one.
            self.made[key] = (Sampler(self.pyramid, plan), values)
        return self.made[key][0]


def _attributes(factor: Factor) -> dict[str, Any]:
    """Return a factor's attributes, of which the compiled drawing is made."""
    keras_own = vars(Factor())
    return {n: v for n, v in vars(factor).items() if n not in keras_own}


def _identity(attribute):
    """Return what tells an attribute from another.

    Numbers and names count by their value, all else by identity: a network
    that is put in another's place counts, and its weights do not.
    """
    name, value = attribute
    plain = (bool, int, float, str, type(None))
    return name, value if isinstance(value, plain) else id(value)
