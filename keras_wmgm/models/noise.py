"""The noise a sampler starts from, drawn by NumPy image by image."""

import keras
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


def draw(shapes: dict, seed: int, indices) -> dict[str, np.ndarray]:
    """Return the noise of the images of these indices.

    Args:
        shapes: `{(name, role): {"start": shape, "steps": shape}}`, as of
            `MultiscaleModel.noise_shapes`.
        seed: Seed of the whole set.
        indices: Indices of the images in the set.

    Returns:
        A dictionary of arrays: `name`, and `name_steps` where a stochastic
        sampler needs noise at every step.
    """
    noise = {}
    for (name, role), shape in shapes.items():
        noise[name] = np.stack(
            [image_noise(seed, i, role, shape["start"]) for i in indices]
        )
        if "steps" in shape:
            num_steps, *step = shape["steps"]
            noise[f"{name}_steps"] = np.stack(
                [
                    [
                        image_noise(seed, i, role, tuple(step), n + 1)
                        for n in range(num_steps)
                    ]
                    for i in indices
                ]
            )
    return noise


def check_noise(noise: dict, shapes: dict, seed: int | None) -> tuple:
    """Return noise as float32 arrays and for how many images, or refuse it.

    Args:
        noise: What a user gave.
        shapes: As of `draw`.
        seed: What a user gave beside it.
    """
    if seed is not None or not isinstance(noise, dict):
        raise ValueError(
            "Give either `seed` or `noise`, a dictionary of arrays as of "
            f"`draw_noise`. Received: seed={seed!r}, noise={type(noise)}"
        )
    wanted = {}
    for (name, _), shape in shapes.items():
        wanted[name] = tuple(shape["start"])
        if "steps" in shape:
            wanted[f"{name}_steps"] = tuple(shape["steps"])
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


def bytes_per_image(shapes: dict) -> int:
    """Return how many bytes of noise one image takes."""
    sizes = [np.prod(s) for shape in shapes.values() for s in shape.values()]
    return int(4 * sum(sizes))


class NoiseBatches(keras.utils.PyDataset):
    """Batches of noise, drawn when they are asked for.

    The last batch is filled up with the images that would come next, so that
    all are of one size and nothing is compiled twice.

    Args:
        draw: Function from a range of image indices to a batch of noise.
        num_images: Number of images.
        batch_size: Images per batch.
        start: Index of the first image.
    """

    def __init__(self, draw, num_images: int, batch_size: int, start: int = 0):
        super().__init__()
        self.draw = draw
        self.batch_size = batch_size
        self.start = start
        self.num = -(-num_images // batch_size)

    def __len__(self):
        return self.num

    def __getitem__(self, index):
        first = self.start + index * self.batch_size
        return (self.draw(range(first, first + self.batch_size)),)
