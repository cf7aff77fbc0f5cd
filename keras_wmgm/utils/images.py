"""Images at the library's edges: what comes in, and as which numbers."""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_wmgm.types import Tensor

DTYPES = ("uint8", "float32")
"""What images may come out as."""


def to_pixels(images: Any) -> np.ndarray:
    """Return images as float32 in [-1, 1], or refuse them.

    Args:
        images: uint8 in [0, 255], or floats in [-1, 1], on any device.

    Raises:
        ValueError: For NaN, other ranges and other types.
    """
    images = keras.ops.convert_to_numpy(images)
    if images.dtype == np.uint8:
        return images.astype("float32") / 127.5 - 1
    if images.dtype.kind not in "fV":  # bfloat16 is of kind "V" in NumPy
        raise ValueError(
            "Images must be uint8 in [0, 255] or floats in [-1, 1]. "
            f"Received: dtype={images.dtype}"
        )
    images = images.astype("float32")
    low, high = (images.min(), images.max()) if images.size else (0.0, 0.0)
    if not (-1 <= low and high <= 1):
        raise ValueError(
            "Floating-point images must be finite and in [-1, 1] (uint8 "
            f"images in [0, 255] are scaled for you). Received: values from "
            f"{low} to {high}"
        )
    return images


def as_pixels(images: Tensor) -> Tensor:
    """Return images as float32 in [-1, 1], inside a compiled function."""
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype == "uint8":
        return ops.cast(images, "float32") / 127.5 - 1
    if "float" not in dtype:
        raise ValueError(
            "Images must be uint8 in [0, 255] or floats in [-1, 1]. "
            f"Received: dtype={dtype}"
        )
    return ops.cast(images, "float32")


def is_array(data: Any) -> bool:
    """Whether `data` is an array or a tensor, of any backend."""
    return hasattr(data, "shape") and hasattr(data, "dtype")


def to_uint8(pixels: Any) -> np.ndarray:
    """Return pixels in [-1, 1] as uint8, rounded and clipped."""
    pixels = keras.ops.convert_to_numpy(pixels).astype("float32")
    return np.clip(np.rint((pixels + 1) * 127.5), 0, 255).astype("uint8")


def as_dtype(pixels: Any, dtype: str) -> np.ndarray:
    """Return pixels in [-1, 1] as one of `DTYPES`."""
    return to_uint8(pixels) if dtype == "uint8" else np.asarray(pixels)


def block_means(images: np.ndarray, size: int) -> np.ndarray:
    """Return the means of blocks of `size` by `size` pixels.

    Args:
        images: `(num_images, height, width, channels)`; `size` divides height
            and width.
        size: Height and width of a block.
    """
    count, height, width, channels = images.shape
    blocks = (count, height // size, size, width // size, size, channels)
    return images.reshape(blocks).mean(axis=(2, 4))


def pixelated(images: np.ndarray, size: int) -> np.ndarray:
    """Return uint8 images of which each block has its mean everywhere.

    Args:
        images: As of `block_means`.
        size: As of `block_means`.
    """
    means = np.rint(block_means(images, size)).astype("uint8")
    return means.repeat(size, axis=1).repeat(size, axis=2)


def pixel_batches(data: Any, batch_size: int = 64) -> Iterator[np.ndarray]:
    """Yield float32 batches in [-1, 1] from whatever `fit` takes.

    Args:
        data: An array of images, a `keras.utils.PyDataset`, or an iterable of
            batches (a `tf.data.Dataset`, a torch `DataLoader`, a generator).
            Where a batch is a tuple, its first entry holds the images.
        batch_size: How an array is cut.
    """
    for batch in _batches(data, batch_size):
        while isinstance(batch, (tuple, list)):
            batch = batch[0]
        yield to_pixels(batch)


def _batches(data, batch_size) -> Iterable:
    if hasattr(data, "images"):
        data = data.images  # `ImageBatches`, which may leave some out
    if isinstance(data, keras.utils.PyDataset):
        return (data[i] for i in range(data.num_batches))
    if is_array(data):
        starts = range(0, len(data), batch_size)
        return (data[i : i + batch_size] for i in starts)
    return data
