"""Drawing: what a `MultiscaleModel` makes of noise."""

from typing import Any

import numpy as np

from keras_wmgm.diffusion.samplers import SAMPLERS
from keras_wmgm.models.noise import MAX_NOISE_BYTES
from keras_wmgm.models.noise import NoiseBatches
from keras_wmgm.models.noise import bytes_per_image
from keras_wmgm.models.noise import check_noise
from keras_wmgm.models.noise import check_seed
from keras_wmgm.models.noise import draw
from keras_wmgm.models.sampler import Sampler
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.images import DTYPES
from keras_wmgm.utils.images import as_dtype
from keras_wmgm.utils.untracked import Untracked


class Generation:
    """The part of `MultiscaleModel` that draws."""

    def _init_generation(self):
        self._samplers = Untracked(made={})

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

        Image i is a function of the seed and of i: neither the batch size,
        nor the backend (to rounding) changes it.

        Args:
            num_images: Number of images.
            num_steps: Steps of each diffusion factor: one number, or one for
                each, coarse first, then from the coarsest level on. A step
                calls the network once, and its guide if it has one.
            sampler: One of `keras_wmgm.diffusion.SAMPLERS`.
            batch_size: Images drawn at once, at most; less, down to one,
                where their noise would exceed 64 MiB.
            seed: Seed of the set; `None` for another every time.
            noise: What `draw_noise` gives, instead of a number of images
                and a seed.
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
        shapes = self.noise_shapes(num_steps, sampler)
        num_images = check_count("num_images", num_images)
        if noise is not None:
            noise, num_images = check_noise(noise, shapes, seed)
        seed = check_seed(seed)
        start = check_count("start", start, minimum=0)

        def draw_batch(indices):
            if noise is None:
                return draw(shapes, seed, indices)
            # The last batch is filled up with images that are cut off again.
            rows = np.minimum(np.asarray(indices) - start, num_images - 1)
            return {name: values[rows] for name, values in noise.items()}

        model = self.sampler(num_steps, sampler)
        limit = self._batch_limit(batch_size, num_images, shapes)
        batches = NoiseBatches(draw_batch, num_images, limit, start)
        images = model.predict(batches, verbose=verbose)[:num_images]
        return as_dtype(images, dtype)

    @staticmethod
    def _batch_limit(batch_size, num_images, shapes):
        """Return the batch size, cut to the images and to 64 MiB of noise."""
        # A generator may take no noise at all.
        fits = MAX_NOISE_BYTES // max(bytes_per_image(shapes), 1)
        return min(check_count("batch_size", batch_size), num_images, fits or 1)

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
        shapes = self.noise_shapes(num_steps, sampler)
        return draw(shapes, seed, range(start, start + num_images))

    def noise_shapes(
        self,
        num_steps: int | tuple[int, ...] = 8,
        sampler: str = "dpm_solver_2m",
        size: tuple[int, int] | None = None,
        levels: int | None = None,
    ) -> dict[tuple[str, int], dict[str, tuple]]:
        """Return the shapes of one image's noise.

        Args:
            num_steps: As of `generate`.
            sampler: As of `generate`.
            size: Height and width of the image; the model's by default.
            levels: Leave the coarse factor out and draw this many levels.

        Returns:
            `{(name, role): {"start": shape, "steps": shape}}`, without the
            batch; `role` is 0 for the coarse band and k for a detail.
        """
        plan = self._plan(num_steps, sampler)
        height, width = size or self.image_shape[:2]
        channels = self.image_shape[-1]
        shapes = {}
        if levels is None:
            levels = self.num_levels
            band = (height >> levels, width >> levels, channels)
            shapes["coarse", 0] = self.coarse.noise_shapes(
                band, **plan["coarse"]
            )
        for k in range(levels, 0, -1):
            name = f"detail_{k}"
            band = (height >> k, width >> k, 3 * channels)
            shapes[name, k] = self.details[k - 1].noise_shapes(
                band, **plan[name]
            )
        return shapes

    def _plan(self, num_steps, sampler):
        """Return `num_steps` and `sampler` by factor, coarse first."""
        check_choice("sampler", sampler, SAMPLERS)
        factors = {"coarse": self.coarse}
        for k in range(self.num_levels, 0, -1):
            factors[f"detail_{k}"] = self.details[k - 1]
        diffusions = [n for n, f in factors.items() if f.is_diffusion]
        if isinstance(num_steps, (tuple, list)):
            if len(num_steps) != len(diffusions):
                raise ValueError(
                    "`num_steps` must be one number, or one for each "
                    f"diffusion factor: {', '.join(diffusions)}. "
                    f"Received: num_steps={num_steps!r}"
                )
            steps = dict(zip(diffusions, num_steps, strict=True))
        else:
            steps = dict.fromkeys(diffusions, num_steps)
        return {
            name: {
                "num_steps": check_count("num_steps", steps.get(name, 1)),
                "sampler": sampler,
            }
            for name in factors
        }

    def network_calls(self, num_steps: int | tuple[int, ...] = 8) -> int:
        """Return how often a network is called for one image."""
        plan = self._plan(num_steps, "ddim")
        calls = self.coarse.calls(plan["coarse"]["num_steps"])
        for k, factor in enumerate(self.details, start=1):
            calls += factor.calls(plan[f"detail_{k}"]["num_steps"])
        return calls

    def sampler(
        self,
        num_steps: int | tuple[int, ...] = 8,
        sampler: str = "dpm_solver_2m",
        levels: int | None = None,
    ) -> Sampler:
        """Return the Keras model from noise to images in [-1, 1].

        Its input is what `draw_noise` gives; `generate` and `upscale` call
        its `predict`. It shares the networks, and is made once for each set
        of arguments.

        Args:
            num_steps: As of `generate`.
            sampler: As of `generate`.
            levels: Start from `"thumbnail"`, an image in [-1, 1], and draw
                this many levels.
        """
        plan = self._plan(num_steps, sampler)
        steps = tuple(part["num_steps"] for part in plan.values())
        # What is compiled has the factors' attributes of its time in it.
        attributes = [
            getattr(factor, name, 1)
            for factor in self.factors.values()
            for name in ("guidance", "temperature")
        ]
        key = (steps, sampler, levels, *attributes)
        cache = self._samplers.made
        if key not in cache:
            coarse = self.coarse if levels is None else None
            details = self.details[:levels]
            cache[key] = Sampler(self.pyramid, coarse, details, plan)
        return cache[key]
