"""From noise to images, as a Keras model."""

from typing import Any

import keras
from keras import ops

from keras_wmgm.types import Tensor


class Sampler(keras.Model):
    """A model from noise to images in [-1, 1] (WMGM, Algorithm 2).

    It holds the pyramid and the factors of the model it draws for, and none
    of what trains them, so `predict`, `export` and a compiled call cost what
    drawing costs.

    Args:
        pyramid: The `WaveletPyramid`.
        coarse: The coarse factor, or `None` to start from `"thumbnail"`, an
            image in [-1, 1], as upscaling does.
        details: The detail factors, that of k = 1 first.
        plan: Per factor name (`"coarse"`, `"detail_1"`, ...) the arguments
            `num_steps` and `sampler` of its `sample`.
    """

    def __init__(self, pyramid, coarse, details: list, plan: dict[str, Any]):
        super().__init__(dtype="float32")
        self.pyramid = pyramid
        self.coarse = coarse
        self.details = list(details)
        self.plan = plan

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        level = len(self.details)
        if self.coarse is None:
            thumbnail = inputs["thumbnail"]
        else:
            coarse = self._sample(self.coarse, "coarse", inputs)
            thumbnail = self.pyramid.thumbnail(coarse, level)
        for k in range(level, 0, -1):
            condition = self.pyramid.condition(thumbnail, k)
            detail = self._sample(
                self.details[k - 1], f"detail_{k}", inputs, condition, k
            )
            thumbnail = self.pyramid.reconstruct(condition, detail, k)
        return ops.clip(thumbnail, -1.0, 1.0)

    def _sample(self, factor, name, inputs, condition=None, k=0):
        noise = {"start": inputs[name]}
        if f"{name}_steps" in inputs:
            noise["steps"] = inputs[f"{name}_steps"]
        return factor.sample(noise, condition, k, **self.plan[name])
