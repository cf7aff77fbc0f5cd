"""Upscaling: plausible detail for existing images."""

import math
from typing import Any

import numpy as np

from keras_wmgm.sampling.drawing import draw_images
from keras_wmgm.sampling.noise import batch_limit
from keras_wmgm.sampling.noise import check_seed
from keras_wmgm.sampling.noise import draw
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.deprecation import renamed
from keras_wmgm.utils.images import DTYPES
from keras_wmgm.utils.images import to_pixels


class Upscaling:
    """The part of `MultiscaleModel` that adds detail to images."""

    def upscale(
        self,
        images: np.ndarray,
        scale: int = 2,
        seed: int | None = None,
        num_steps: int | tuple[int, ...] = 8,
        sampler: str = "dpm_solver_2m",
        batch_size: int = 16,
        dtype: str = "uint8",
        verbose: Any = "auto",
        factor: int | None = None,
    ) -> np.ndarray:
        """Enlarge images 2, 4 or 8 times and draw plausible detail.

        Each pixel is taken as the mean of a block of the result: it is
        2^-m x_L^m for a scale of 2^m, and the detail factors of the m finest
        levels draw the rest. Averaging the blocks of the result gives the
        images back, up to rounding. Detail that would leave [-1, 1] is made
        smaller.

        A model has learned the details of images of its own size. For other
        images it extrapolates. This works best where the images look like
        its training images at 1 / scale of their size.

        Args:
            images: `(num_images, height, width, channels)`, uint8 or floats
                in [-1, 1], of any size: they are padded at the edge to what
                the networks take, and the result is cropped.
            scale: How many times as large: 2, 4 or 8, and at most 2^S.
            seed: Seed of the detail; `None` for another every time.
            num_steps: As of `generate`.
            sampler: As of `generate`.
            batch_size: As of `generate`.
            dtype: As of `generate`.
            verbose: As of `generate`.
            factor: The old name of `scale`.

        Returns:
            Images, `(num_images, scale * height, scale * width, channels)`.

        Raises:
            ValueError: For images of another kind, a scale beyond the
                model's levels, and a model without band statistics.

        Example:

        ```python
        model.upscale(images, scale=4, seed=0)
        ```
        """
        scale = renamed("factor", factor, "scale", scale)
        check_choice("dtype", dtype, DTYPES)
        levels = self._check_upscale(images, scale)
        pixels = to_pixels(images)
        padded = _pad(pixels, self._upscale_multiple(levels))
        size = [scale * s for s in padded.shape[1:3]]
        plan = self._plan(num_steps, sampler, levels)
        bands = self._band_noise(plan, size)
        seed = check_seed(seed)

        def inputs(indices):
            rows = np.minimum(indices, len(padded) - 1)
            return {"thumbnail": padded[rows], **draw(bands, seed, indices)}

        model, count = self._inference_models.get(plan), len(padded)
        limit = batch_limit(batch_size, count, bands)
        large = draw_images(
            model, inputs, count, limit, dtype, verbose, "upscale"
        )
        height, width = (scale * s for s in pixels.shape[1:3])
        return large[:, :height, :width]

    def _check_upscale(self, images, scale):
        """Return the number of levels that `scale` spans."""
        self._check_adapted("upscale")
        fits = [2**k for k in range(1, self.num_levels + 1) if k <= 3]
        if not fits:
            raise ValueError(
                "A model without levels has no details to draw. Use a model "
                "with `num_levels` of at least 1. Received: num_levels=0"
            )
        scale = check_choice("scale", check_count("scale", scale), fits)
        shape = np.shape(images)
        if (
            len(shape) != 4
            or not all(shape)
            or (shape[-1] != self.image_shape[-1])
        ):
            raise ValueError(
                "`images` must be of shape (num_images, height, width, "
                f"{self.image_shape[-1]}). Received: shape={shape}"
            )
        return int(scale).bit_length() - 1

    def _upscale_multiple(self, levels):
        """Return what a thumbnail's size must be a multiple of."""
        multiples = []
        for k in range(1, levels + 1):
            # A band of level k is this many times as large as the thumbnail.
            times = 2 ** (levels - k)
            multiple = self.details[k - 1].size_multiple
            multiples.append(multiple // math.gcd(multiple, times))
        return math.lcm(*multiples)


def _pad(images, multiple):
    """Repeat the edge until height and width are multiples."""
    rest = [-size % multiple for size in images.shape[1:3]]
    widths = ((0, 0), (0, rest[0]), (0, rest[1]), (0, 0))
    return np.pad(images, widths, mode="edge")
