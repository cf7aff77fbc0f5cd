"""Checks and conversions of the images that come in and go out."""

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_wmgm.types import Tensor

DTYPES = ("uint8", "float32")
"""The dtypes of generated images."""


def to_pixels(images: Any) -> np.ndarray:
    """Return images as float32 in [-1, 1], or refuse them.

    Args:
        images: uint8 in [0, 255], or floats in [-1, 1], on any device.

    Raises:
        ValueError: For NaN, other ranges and other types.
    """
    images = keras.ops.convert_to_numpy(images)
    check_range(images)
    if images.dtype == np.uint8:
        return images.astype("float32") / 127.5 - 1
    return images.astype("float32")


def check_range(images: np.ndarray) -> None:
    """Refuse values that are neither uint8 nor floats in [-1, 1]."""
    if images.dtype == np.uint8:
        return
    if not is_float(images):
        hint = "; `astype('uint8')` first" if images.dtype.kind in "iu" else ""
        raise ValueError(
            "Images must be uint8 in [0, 255] or floats in [-1, 1]"
            f"{hint}. Received: dtype={images.dtype}"
        )
    low, high = (images.min(), images.max()) if images.size else (0.0, 0.0)
    if not (-1 <= low and high <= 1):
        raise ValueError(
            "Floating-point images must be finite and in [-1, 1]"
            f"{_range_hint(low, high)}. Received: values from {low} to {high}"
        )


def is_float(images: np.ndarray) -> bool:
    """Whether an array holds floats; NumPy knows bfloat16 as kind "V"."""
    return images.dtype.kind in "fV"


def _range_hint(low, high):
    if 0 <= low and 1 < high <= 255:
        return (
            "; these look like [0, 255]: pass them as uint8, or `x / 127.5 - 1`"
        )
    return " (uint8 images in [0, 255] are scaled for you)"


def warn_of_unit_range(lowest: float) -> None:
    """Warn if floats that should be in [-1, 1] look like [0, 1].

    Args:
        lowest: The lowest value of the images.
    """
    if lowest >= 0:
        warnings.warn(
            "No floating-point image has a value below 0, so the images seem "
            "to be in [0, 1] instead of [-1, 1], and a model would learn them "
            "with half of the contrast. Pass `2 * x - 1`, or uint8. "
            f"Received: lowest value={lowest}",
            stacklevel=1,  # one place, so that it is shown once
        )


def check_images(images: np.ndarray, image_shape: tuple) -> None:
    """Refuse an array without images, or with images of another shape."""
    check_shape(images.shape, image_shape)
    if not len(images):
        raise ValueError(
            f"At least one image is needed. Received: shape={images.shape}"
        )
    if images.dtype == np.uint8:
        return  # all values are good; a memory map is not read
    lowest = []
    for start in range(0, len(images), 1024):
        part = keras.ops.convert_to_numpy(images[start : start + 1024])
        check_range(part)
        lowest.append(part.min() if is_float(part) else -1.0)
    warn_of_unit_range(min(lowest))


def check_shape(shape: tuple, image_shape: tuple) -> None:
    """Refuse a batch of another shape than `(batch, *image_shape)`."""
    shape, image_shape = tuple(shape), tuple(image_shape)
    if len(shape) != 4 or shape[1:] != image_shape:
        expected = ", ".join(map(str, ("batch", *image_shape)))
        raise ValueError(
            f"Images must be of shape ({expected})."
            f"{_shape_hint(shape, image_shape)} Received: shape={shape}"
        )


def _shape_hint(shape, image_shape):
    """Return the likely cause of a wrong shape, and what to do."""
    *size, channels = image_shape
    if shape[1:] == (channels, *size):
        return " These are channels first: `np.moveaxis(x, 1, -1)`."
    if shape == image_shape:
        return " This is one image, not a batch: `x[None]`, or `.batch(n)`."
    if channels == 1 and shape[1:] == tuple(size):
        return " The axis of the channels is missing: `x[..., None]`."
    if len(shape) < 3:
        return " Are these labels? Images come first in a tuple."
    return ""


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
    """Return uint8 images with each block filled with its mean.

    Args:
        images: As of `block_means`.
        size: As of `block_means`.
    """
    means = np.rint(block_means(images, size)).astype("uint8")
    return means.repeat(size, axis=1).repeat(size, axis=2)
