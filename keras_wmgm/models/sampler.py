"""From noise to images, as a Keras model."""

from typing import Any

import keras
from keras import ops

from keras_wmgm.types import Tensor
from keras_wmgm.utils.untracked import Untracked


def fit_to_range(image: Tensor, thumbnail: Tensor) -> Tensor:
    """Return `image` with the details reduced that leave [-1, 1].

    Clipping would change the means of the 2x2 blocks. Instead, what a block
    has beside its mean is made smaller, as little as will do.

    Args:
        image: `(batch, 2 * height, 2 * width, channels)`.
        thumbnail: The means of its blocks, in [-1, 1].
    """
    _, height, width, channels = ops.shape(thumbnail)
    blocks = ops.reshape(image, (-1, height, 2, width, 2, channels))
    mean = ops.reshape(thumbnail, (-1, height, 1, width, 1, channels))
    detail = blocks - mean
    room = ops.where(detail > 0, 1 - mean, 1 + mean)
    size = ops.maximum(ops.abs(detail), 1e-12)
    share = ops.min(room / size, axis=(2, 4), keepdims=True)
    blocks = mean + detail * ops.clip(share, 0.0, 1.0)
    return ops.reshape(blocks, (-1, 2 * height, 2 * width, channels))


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
        # The networks that draw are this model's; critics are not.
        factors = [coarse, *details] if coarse is not None else details
        networks = {id(n): n for f in factors for n in f.drawing()}
        self.networks = list(networks.values())
        self.parts = Untracked(coarse=coarse, details=details, plan=plan)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        level = len(self.parts.details)
        if self.parts.coarse is None:
            thumbnail = inputs["thumbnail"]
        else:
            coarse = self._sample(self.parts.coarse, "coarse", inputs)
            thumbnail = self.pyramid.thumbnail(coarse, level)
        for k in range(level, 0, -1):
            condition = self.pyramid.condition(thumbnail, k)
            detail = self._sample(
                self.parts.details[k - 1], f"detail_{k}", inputs, condition, k
            )
            image = self.pyramid.reconstruct(condition, detail, k)
            if self.parts.coarse is None:
                image = fit_to_range(image, thumbnail)
            thumbnail = image
        return ops.clip(thumbnail, -1.0, 1.0)

    def _sample(self, factor, name, inputs, condition=None, k=0):
        noise = {"start": inputs[name]}
        if f"{name}_steps" in inputs:
            noise["steps"] = inputs[f"{name}_steps"]
        return factor.sample(noise, condition, k, **self.parts.plan[name])
