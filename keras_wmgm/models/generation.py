"""Generation: drawing images from noise."""

from typing import Any

import numpy as np

from keras_wmgm.sampling.cache import InferenceModelCache
from keras_wmgm.sampling.drawing import draw_images
from keras_wmgm.sampling.inference_model import InferenceModel
from keras_wmgm.sampling.noise import BandNoise
from keras_wmgm.sampling.noise import batch_limit
from keras_wmgm.sampling.noise import check_noise
from keras_wmgm.sampling.noise import check_seed
from keras_wmgm.sampling.noise import draw
from keras_wmgm.sampling.plan import Band
from keras_wmgm.sampling.plan import make_plan
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.images import DTYPES


class Generation:
    """The part of `MultiscaleModel` that draws."""

    def _init_generation(self):
        self._inference_models = InferenceModelCache(self.pyramid)

    def generate(
        self,
        num_images: int = 1,
        num_steps: int | tuple[int, ...] = 8,
        sampler: str = "dpm_solver_2m",
        batch_size: int = 16,
        seed: int | None = None,
        noise: dict[str, np.ndarray] | None = None,
        start: int = 0,
        dtype: str = "uint8",
        verbose: Any = "auto",
    ) -> np.ndarray:
        """Draw images (WMGM, Algorithm 2).

        Image i depends on the seed and on i only: the batch size does not
        change it, and the backend only up to rounding.

        Args:
            num_images: Number of images.
            num_steps: Steps of each diffusion factor: one number, or one for
                each, coarse first, then from the coarsest level on. A step
                calls the network once, and its guide if it has one.
            sampler: One of `keras_wmgm.diffusion.SAMPLERS`.
            batch_size: The most images per batch. Batches are smaller if
                their noise would exceed 64 MiB.
            seed: Seed of the set; `None` for a random one.
            noise: Noise from `draw_noise`, instead of a number of images and
                a seed.
            start: Index of the first image in the set.
            dtype: `"uint8"`, or `"float32"` for values in [-1, 1].
            verbose: As of `keras.Model.predict`.

        Returns:
            Images, `(num_images, height, width, channels)`.

        Raises:
            ValueError: For unknown or negative arguments, noise of another
                shape, and a model without band statistics.

        Example:

        ```python
        model.generate(16, num_steps=(16, 8, 8), seed=0)
        ```
        """
        check_choice("dtype", dtype, DTYPES)
        self._check_adapted("generate")
        plan = self._plan(num_steps, sampler)
        bands = self._band_noise(plan)
        num_images = check_count("num_images", num_images)
        if noise is not None:
            noise, num_images = check_noise(noise, bands, seed)
        seed = check_seed(seed)
        start = check_count("start", start, minimum=0)

        def inputs(indices):
            if noise is None:
                return draw(bands, seed, [start + i for i in indices])
            rows = np.minimum(indices, num_images - 1)
            return {name: values[rows] for name, values in noise.items()}

        size = batch_limit(batch_size, num_images, bands)
        model = self._inference_models.get(plan)
        return draw_images(model, inputs, num_images, size, dtype, verbose)

    def draw_noise(
        self,
        num_images: int,
        seed: int,
        start: int = 0,
        num_steps: int | tuple[int, ...] = 8,
        sampler: str = "dpm_solver_2m",
    ) -> dict[str, np.ndarray]:
        """Return the noise from which `generate` would draw.

        Args:
            num_images: Number of images.
            seed: Seed of the set.
            start: Index of the first image in the set.
            num_steps: As of `generate`.
            sampler: As of `generate`.

        Returns:
            Standard normal float32 arrays by name: `"coarse"`,
            `"detail_1"`, ..., and `"coarse_steps"`, ... where a stochastic
            sampler needs noise at every step.

        Raises:
            ValueError: For unknown or negative arguments.
        """
        num_images = check_count("num_images", num_images)
        start = check_count("start", start, minimum=0)
        seed = check_count("seed", seed, minimum=0)
        bands = self._band_noise(self._plan(num_steps, sampler))
        return draw(bands, seed, range(start, start + num_images))

    def noise_shapes(
        self,
        num_steps: int | tuple[int, ...] = 8,
        sampler: str = "dpm_solver_2m",
    ) -> dict[str, dict[str, tuple[int, ...]]]:
        """Return the shapes of one image's noise.

        Args:
            num_steps: As of `generate`.
            sampler: As of `generate`.

        Returns:
            `{name: {"start": shape, "steps": shape}}` by band, without the
            batch; `"steps"` for a stochastic sampler only.
        """
        bands = self._band_noise(self._plan(num_steps, sampler))
        return {band.name: band.shapes for band in bands}

    def network_calls(self, num_steps: int | tuple[int, ...] = 8) -> int:
        """Return the number of network calls for one image."""
        plan = self._plan(num_steps, "ddim")
        return sum(band.factor.calls(**band.arguments) for band in plan)

    def inference_model(
        self,
        num_steps: int | tuple[int, ...] = 8,
        sampler: str = "dpm_solver_2m",
        levels: int | None = None,
    ) -> InferenceModel:
        """Return the Keras model from noise to images in [-1, 1].

        Its input is the noise that `draw_noise` returns. It shares the
        networks of this model, and is made once for each set of arguments.

        Args:
            num_steps: As of `generate`.
            sampler: As of `generate`.
            levels: Start from the input `"thumbnail"`, an image in [-1, 1],
                and draw this many levels; `None` to start from noise.

        Returns:
            An `InferenceModel`.

        Raises:
            ValueError: For unknown or negative arguments.

        Example:

        ```python
        noise = model.draw_noise(4, seed=0, num_steps=8)
        images = model.inference_model(num_steps=8).predict(noise)
        ```
        """
        return self._inference_models.get(
            self._plan(num_steps, sampler, levels)
        )

    def _plan(self, num_steps, sampler, levels=None) -> list[Band]:
        plan = make_plan(self.coarse, self.details, num_steps, sampler)
        if levels is None:
            return plan
        return [band for band in plan if 1 <= band.level <= levels]

    def _band_noise(self, plan, size=None) -> list[BandNoise]:
        """Return the noise of a plan, for an image of some size."""
        height, width = size or self.image_shape[:2]
        channels = self.image_shape[-1]
        noise = []
        for band in plan:
            k = band.level or self.num_levels
            depth = 3 * channels if band.level else channels
            shape = (height >> k, width >> k, depth)
            shapes = band.factor.noise_shapes(shape, **band.arguments)
            noise.append(BandNoise(band.name, band.level, shapes))
        return noise
