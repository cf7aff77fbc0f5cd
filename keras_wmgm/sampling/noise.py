"""The noise that images are drawn from, made by NumPy image by image."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_wmgm.utils.checks import check_count

MAX_NOISE_BYTES = 64 * 2**20
"""The most noise that is held at once, unless one image needs more."""


def image_noise(
    seed: int, image: int, level: int, shape: tuple, step: int = 0
) -> np.ndarray:
    """Return standard normal float32 noise, a function of its arguments.

    It depends on nothing else, so the batch size, the backend and
    interruptions do not change a picture.

    Args:
        seed: Seed of the whole set.
        image: Index of the image in the set.
        level: k for the details of level k, 0 for the coarse band.
        shape: Shape of the noise.
        step: 0 for what a sampler starts from, n for its n-th step.
    """
    rng = np.random.default_rng((seed, image, level, step))
    return rng.standard_normal(shape, dtype="float32")


def array_names(band: str) -> dict[str, str]:
    """Return what the noise arrays of a band may be called, by key."""
    return {"start": band, "steps": f"{band}_steps"}


class BandNoise(NamedTuple):
    """The noise that one band of one image takes.

    Attributes:
        name: The name of the band.
        level: k for the details of level k, 0 for the coarse band.
        shapes: As of `Factor.noise_shapes`.
    """

    name: str
    level: int
    shapes: dict[str, tuple[int, ...]]

    @property
    def arrays(self) -> dict[str, str]:
        """The names of the noise arrays, by the keys of `shapes`."""
        names = array_names(self.name)
        return {key: names[key] for key in self.shapes}


def draw(
    bands: Iterable[BandNoise], seed: int, indices: Sequence[int]
) -> dict[str, np.ndarray]:
    """Return the noise of the images with these indices.

    Args:
        bands: The noise of one image, band by band.
        seed: Seed of the whole set.
        indices: Indices of the images in the set.

    Returns:
        Arrays by name: the name of the band, and `{name}_steps` where a
        stochastic sampler needs noise at every step.
    """
    return {
        name: np.stack([_noise_of(band, key, seed, i) for i in indices])
        for band in bands
        for key, name in band.arrays.items()
    }


def _noise_of(band, key, seed, image):
    """Return one image's noise for one key of a band's shapes."""
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
    """Return noise as float32 arrays and the number of images, or refuse it.

    Args:
        noise: The noise that the user gave.
        bands: As of `draw`.
        seed: The seed that the user gave.
    """
    if seed is not None or not isinstance(noise, dict):
        raise ValueError(
            "Give either `seed` or `noise`, a dictionary of arrays such as "
            "`draw_noise` returns. "
            f"Received: seed={seed!r}, noise={type(noise)}"
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
            "`noise` must be what `draw_noise` returns for the same "
            f"`num_steps` and `sampler`: per image {wanted}. Received: {given}"
        )
    for name, values in arrays.items():
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(
                "`noise` must be finite floats. "
                f"Received: {name} of {values.dtype}"
            )
    return {n: v.astype("float32") for n, v in arrays.items()}, counts.pop()


def check_seed(seed: int | None) -> int:
    """Return the seed, or one from the system's entropy for `None`."""
    if seed is None:
        return np.random.SeedSequence().entropy
    return check_count("seed", seed, minimum=0)


def bytes_per_image(bands: Iterable[BandNoise]) -> int:
    """Return the size of one image's noise in bytes."""
    shapes = [shape for band in bands for shape in band.shapes.values()]
    return int(4 * sum(np.prod(shape) for shape in shapes))


def batch_limit(
    batch_size: int, num_images: int, bands: list[BandNoise]
) -> int:
    """Return the batch size, at most all images and 64 MiB of noise."""
    # A generator may take no noise at all.
    fits = MAX_NOISE_BYTES // max(bytes_per_image(bands), 1)
    return min(check_count("batch_size", batch_size), num_images, fits or 1)
