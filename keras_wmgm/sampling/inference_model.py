"""From noise to images, as a Keras model for `predict` and `export`."""

import keras
from keras import ops

from keras_wmgm.sampling.noise import array_names
from keras_wmgm.sampling.plan import Band
from keras_wmgm.types import Tensor
from keras_wmgm.utils.interrupts import RestoredOnError
from keras_wmgm.utils.untracked import Untracked


def fit_to_range(image: Tensor, thumbnail: Tensor) -> Tensor:
    """Return `image` with its details made small enough for [-1, 1].

    Clipping would change the means of the 2x2 blocks. Instead, the deviations
    from the mean of a block are scaled down, as little as necessary.

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


class InferenceModel(keras.Model):
    """A model from noise to images in [-1, 1] (WMGM, Algorithm 2).

    It shares the pyramid and the drawing networks with the model that it
    draws for, and holds no critic and no optimizer, so `predict`, `export`
    and a compiled call hold only what drawing needs.

    Args:
        pyramid: The `WaveletPyramid`.
        plan: The bands in the order in which they are drawn. Without the
            coarse band, drawing starts from `"thumbnail"`, an image in
            [-1, 1], as upscaling does.
    """

    def __init__(self, pyramid: keras.layers.Layer, plan: list[Band]):
        super().__init__(dtype="float32")
        self.pyramid = pyramid
        # The networks that draw are this model's; critics are not.
        networks = {id(n): n for band in plan for n in band.factor.drawing()}
        self.networks = list(networks.values())
        self.plan = Untracked(bands=plan)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        bands = list(self.plan.bands)
        upscales = "thumbnail" in inputs
        if upscales:
            thumbnail = inputs["thumbnail"]
        else:
            coarse = self._sample(bands.pop(0), inputs)
            thumbnail = self.pyramid.thumbnail(coarse, len(bands))
        for band in bands:
            condition = self.pyramid.condition(thumbnail, band.level)
            detail = self._sample(band, inputs, condition)
            image = self.pyramid.reconstruct(condition, detail, band.level)
            thumbnail = fit_to_range(image, thumbnail) if upscales else image
        return ops.clip(thumbnail, -1.0, 1.0)

    def predict(self, *args, **kwargs):
        with RestoredOnError(self):
            return super().predict(*args, **kwargs)

    def _sample(self, band, inputs, condition=None):
        names = array_names(band.name).items()
        noise = {key: inputs[name] for key, name in names if name in inputs}
        return band.factor.sample(
            noise, condition, band.level, **band.arguments
        )
