"""The noise that images are drawn from, made by NumPy image by image."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_wmgm.utils.checks import check_count

MAX_NOISE_BYTES = 64 * 2**20
"""No more noise than this exists at once, if a batch can be cut to it."""


def image_noise(
    seed: int, image: int, role: int, shape: tuple, step: int = 0
) -> np.ndarray:
    """Return standard normal float32 noise, a function of its arguments.

    Neither the batch, nor the backend, nor where a run was interrupted has a
    part in it, so none of them changes a picture.

    Args:
        seed: Seed of the whole set.
        image: Index of the image in the set.
        role: 0 for the coarse band, k for the details of level k.
        shape: Shape of the noise.
        step: 0 for what a sampler starts from, n for its n-th step.
    """
    rng = np.random.default_rng((seed, image, role, step))
    return rng.standard_normal(shape, dtype="float32")


class BandNoise(NamedTuple):
    """The noise that one band of one image takes.

    Attributes:
        name: The name of the band.
        level: k, or 0 for the coarse band.
        shapes: As of `Factor.noise_shapes`.
    """

    name: str
    level: int
    shapes: dict[str, tuple[int, ...]]

    @property
    def arrays(self) -> dict[str, str]:
        """The names of the arrays that hold it, by the keys of `shapes`."""
        names = {"start": self.name, "steps": f"{self.name}_steps"}
        return {key: names[key] for key in self.shapes}


def draw(
    bands: Iterable[BandNoise], seed: int, indices: Sequence[int]
) -> dict[str, np.ndarray]:
    """Return the noise of the images of these indices.

    Args:
        bands: The noise of one image, band by band.
        seed: Seed of the whole set.
        indices: Indices of the images in the set.

    Returns:
        Arrays by name: that of the band, and `name_steps` where a stochastic
        sampler needs noise at every step.
    """
    return {
        name: np.stack([_noise_of(band, key, seed, i) for i in indices])
        for band in bands
        for key, name in band.arrays.items()
    }


def _noise_of(band, key, seed, image):
    """Return what one image has under one key of a band's shapes."""
    if key == "start":
        return image_noise(seed, image, band.level, band.shapes[key])
    num_steps, *shape = band.shapes[key]
    steps = [
        image_noise(seed, image, band.level, tuple(shape), n + 1)
        for n in range(num_steps)
    ]
    return np.stack(steps)


def check_noise(
    noise: dict[str, np.ndarray],
    bands: Iterable[BandNoise],
    seed: int | None,
) -> tuple[dict[str, np.ndarray], int]:
    """Return noise as float32 arrays and for how many images, or refuse it.

    Args:
        noise: What a user gave.
        bands: As of `draw`.
        seed: What a user gave beside it.
    """
    if seed is not None or not isinstance(noise, dict):
        raise ValueError(
            "Give either `seed` or `noise`, a dictionary of arrays as of "
            f"`draw_noise`. Received: seed={seed!r}, noise={type(noise)}"
        )
    wanted = {
        name: tuple(band.shapes[key])
        for band in bands
        for key, name in band.arrays.items()
    }
    arrays = {name: np.asarray(v) for name, v in noise.items()}
    given = {name: values.shape for name, values in arrays.items()}
    counts = {shape[0] for shape in given.values() if shape}
    rest = {name: shape[1:] for name, shape in given.items()}
    if rest != wanted or len(counts) != 1 or not min(counts):
        raise ValueError(
            "`noise` must be what `draw_noise` gives for the same `num_steps` "
            f"and `sampler`: per image {wanted}. Received: {given}"
        )
    for name, values in arrays.items():
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(
                "`noise` must be finite floats. "
                f"Received: {name} of {values.dtype}"
            )
    return {n: v.astype("float32") for n, v in arrays.items()}, counts.pop()


def check_seed(seed: int | None) -> int:
    """Return the seed; one from the system's entropy where it is `None`."""
    if seed is None:
        return np.random.SeedSequence().entropy
    return check_count("seed", seed, minimum=0)


def bytes_per_image(bands: Iterable[BandNoise]) -> int:
    """Return how many bytes of noise one image takes."""
    shapes = [shape for band in bands for shape in band.shapes.values()]
    return int(4 * sum(np.prod(shape) for shape in shapes))


def batch_limit(
    batch_size: int, num_images: int, bands: list[BandNoise]
) -> int:
    """Return the batch size, cut to the images and to 64 MiB of noise."""
    # A generator may take no noise at all.
    fits = MAX_NOISE_BYTES // max(bytes_per_image(bands), 1)
    return min(check_count("batch_size", batch_size), num_images, fits or 1)
