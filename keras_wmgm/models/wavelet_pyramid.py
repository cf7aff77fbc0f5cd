"""The Haar pyramid of an image, each band whitened."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_wmgm.data.streams import pixel_batches
from keras_wmgm.layers.haar_dwt2d import HaarDWT2D
from keras_wmgm.layers.haar_iwt2d import HaarIWT2D
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.checks import check_divisible
from keras_wmgm.utils.images import check_shape
from keras_wmgm.utils.serialization import register

CONSTANT = 1e-6
"""A band whose standard deviation is below this counts as constant."""


@register
class WaveletPyramid(keras.layers.Layer):
    """The transform between an image and its whitened Haar bands.

    Orthonormal Haar bands differ in size by orders of magnitude: the coarse
    band doubles with every level, and details are small and differ from each
    other. Networks get whitened bands, with the mean and the standard
    deviation of each channel of each band. `adapt` finds these, and they are
    saved as non-trainable weights. Only this layer knows the scale, sign and
    order of bands. It computes in float32 under any dtype policy.

    With k = 1 the finest and k = S the coarsest level:

    - `x_L^k`, the coarse band of level k, is the *condition* of that level's
      details. `x_L^k / 2^k` is the image reduced by block means, its
      *thumbnail*, in [-1, 1] like the image (`x_L^0`).
    - `x_H^k`, the *details* of level k: cH, cV, cD, grouped by band.
    - `x_L^S` is *coarse*; with S = 0, it is the image.

    Args:
        image_shape: `(height, width, channels)`; 2^S must divide height and
            width.
        num_levels: The number of levels S, 0 or more.
        **kwargs: Keras's layer arguments (`name`).

    Input shape:
        `(batch, height, width, channels)`, values in [-1, 1].

    Output shape:
        As of `analyze`.

    Example:

    >>> images = np.random.default_rng(0).uniform(-1, 1, (20, 16, 16, 3))
    >>> pyramid = keras_wmgm.models.WaveletPyramid((16, 16, 3), num_levels=2)
    >>> pyramid.adapt(images)
    >>> coarse, details, conditions = pyramid.analyze(images)
    >>> coarse.shape, [d.shape for d in details]
    ((20, 4, 4, 3), [(20, 8, 8, 9), (20, 4, 4, 9)])
    >>> error = keras.ops.abs(pyramid.synthesize(coarse, details) - images)
    >>> bool(keras.ops.max(error) < 1e-5)
    True

    Reference:
        WMGM, Eq. 17 and 18
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)); WSGM
        ([arXiv:2208.05003](https://arxiv.org/abs/2208.05003)) for the
        whitening.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], num_levels: int, **kwargs
    ):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.image_shape = check_counts("image_shape", image_shape)
        self.num_levels = check_count("num_levels", num_levels, minimum=0)
        what = f"A pyramid of {self.num_levels} levels"
        check_divisible((None, *self.image_shape), 2**self.num_levels, what)
        self.dwt = HaarDWT2D(dtype="float32")
        self.iwt = HaarIWT2D(dtype="float32")
        self._add_statistics()
        self._build_at_init()

    def _add_statistics(self):
        """Make the weights: `low_k` and `detail_k`, mean and std of each."""
        channels = self.image_shape[-1]
        self.count = self._add_constant("count", (), "zeros")
        self.statistics = {}
        for k in range(min(1, self.num_levels), self.num_levels + 1):
            self._add_band(f"low_{k}", channels)
        for k in range(1, self.num_levels + 1):
            self._add_band(f"detail_{k}", 3 * channels)

    def _add_band(self, band, channels):
        mean = self._add_constant(f"{band}_mean", (channels,), "zeros")
        std = self._add_constant(f"{band}_std", (channels,), "ones")
        self.statistics[band] = (mean, std)

    def _add_constant(self, name, shape, initializer):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False
        )

    @property
    def adapted(self) -> bool:
        """Whether the band statistics have been found or loaded."""
        return bool(ops.convert_to_numpy(self.count) > 0)

    def adapt(self, data: Any, batch_size: int = 64) -> None:
        """Find the mean and the standard deviation of every band.

        This takes one pass over the data, in float64.

        Args:
            data: Images, uint8 or floats in [-1, 1]: an array, or finite data
                that yields batches of images, as `fit` takes it.
            batch_size: Batch size of an array; the result does not depend on
                it.

        Raises:
            ValueError: If there is no image, an image of another shape or
                with values out of range, or if the data has no end. The
                statistics are then left as they were.
        """
        moments = {band: _Moments() for band in self.statistics}
        count = 0
        for batch in pixel_batches(data, self.image_shape, batch_size):
            if not len(batch):
                continue
            count += len(batch)
            for band, values in self._raw_bands(batch).items():
                moments[band].update(ops.convert_to_numpy(values))
        if not count:
            raise ValueError(
                "`adapt` needs at least one image. Received: no image."
            )
        for band, (mean, std) in self.statistics.items():
            mean.assign(moments[band].mean)
            std.assign(moments[band].std)
        self.count.assign(count)

    def check_images(self, shape: tuple) -> None:
        """Refuse a batch of images with another shape than the model's."""
        check_shape(shape, self.image_shape)

    def _raw_bands(self, images):
        """Return every band before whitening, by name."""
        low, bands = images, {}
        if not self.num_levels:
            bands["low_0"] = low
        for k in range(1, self.num_levels + 1):
            low, detail = self.dwt(low)
            bands[f"low_{k}"], bands[f"detail_{k}"] = low, detail
        return bands

    def call(self, images: Tensor):
        return self.analyze(images)

    def analyze(
        self, images: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Decompose images into whitened bands.

        Args:
            images: `(batch, height, width, channels)` in [-1, 1].

        Returns:
            A tuple `(coarse, details, conditions)`: the whitened `x_L^S`;
            a list of the whitened `x_H^k`, k = 1 first; and a list of the
            whitened `x_L^k`. If S > 0, the last condition is `coarse`.
        """
        images = ops.cast(images, "float32")
        bands = {
            band: self._whiten(values, band)
            for band, values in self._raw_bands(images).items()
        }
        levels = range(1, self.num_levels + 1)
        return (
            bands[f"low_{self.num_levels}"],
            [bands[f"detail_{k}"] for k in levels],
            [bands[f"low_{k}"] for k in levels],
        )

    def synthesize(self, coarse: Tensor, details: list[Tensor]) -> Tensor:
        """Compose images in [-1, 1] from whitened bands, as of `analyze`."""
        if len(details) != self.num_levels:
            raise ValueError(
                f"`details` must be a list of {self.num_levels} bands. "
                f"Received: {len(details)}"
            )
        thumbnail = self.thumbnail(coarse, self.num_levels)
        for k in range(self.num_levels, 0, -1):
            condition = self.condition(thumbnail, k)
            thumbnail = self.reconstruct(condition, details[k - 1], k)
        return thumbnail

    def thumbnail(self, condition: Tensor, k: int) -> Tensor:
        """Return `x_L^k / 2^k`, an image in [-1, 1], from whitened `x_L^k`."""
        return self._unwhiten(condition, f"low_{k}") / 2**k

    def condition(self, thumbnail: Tensor, k: int) -> Tensor:
        """Return the whitened `x_L^k` of a thumbnail `x_L^k / 2^k`."""
        return self._whiten(thumbnail * 2**k, f"low_{k}")

    def reconstruct(self, condition: Tensor, detail: Tensor, k: int) -> Tensor:
        """Return the thumbnail of level k - 1, in [-1, 1] (Eq. 18).

        Args:
            condition: The whitened `x_L^k`.
            detail: The whitened `x_H^k`.
            k: The level, from 1 to S. The result at k = 1 is the image.
        """
        low = self._unwhiten(condition, f"low_{k}")
        detail = self._unwhiten(detail, f"detail_{k}")
        return self.iwt((low, detail)) / 2 ** (k - 1)

    def _whiten(self, values, band):
        mean, std = self.statistics[band]
        return (values - mean) / std

    def _unwhiten(self, values, band):
        mean, std = self.statistics[band]
        return ops.cast(values, "float32") * std + mean

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape

        def band(k, channels):
            sizes = [size and size // 2**k for size in (height, width)]
            return (batch, *sizes, channels)

        levels = range(1, self.num_levels + 1)
        return (
            band(self.num_levels, channels),
            [band(k, 3 * channels) for k in levels],
            [band(k, channels) for k in levels],
        )

    def compute_output_spec(self, images):
        # Keras would take the empty lists of S = 0 as shapes of scalars.
        coarse, *bands = self.compute_output_shape(images.shape)
        details, conditions = ([_spec(s) for s in shapes] for shapes in bands)
        return _spec(coarse), details, conditions

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {
            **config,
            "image_shape": self.image_shape,
            "num_levels": self.num_levels,
        }


def _spec(shape):
    return keras.KerasTensor(shape, dtype="float32")


class _Moments:
    """Mean and standard deviation per channel, batch by batch, in float64."""

    def __init__(self):
        self.count, self.mean, self.square = 0, 0.0, 0.0

    def update(self, values: np.ndarray):
        """Add a batch (Chan et al.'s update, which avoids cancellation)."""
        values = values.astype("float64").reshape(-1, values.shape[-1])
        count, mean = len(values), values.mean(axis=0)
        square = ((values - mean) ** 2).sum(axis=0)
        shift, total = mean - self.mean, self.count + count
        self.mean = self.mean + shift * count / total
        weight = self.count * count / total
        self.square = self.square + square + shift**2 * weight
        self.count = total

    @property
    def std(self) -> np.ndarray:
        """The standard deviation; 1 for a constant band."""
        std = np.sqrt(self.square / self.count)
        return np.where(std < CONSTANT, 1.0, std)
