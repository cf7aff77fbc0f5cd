"""Images in files: in which formats, alone and as a grid."""

import io
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from keras_wmgm.utils.writing import written_whole


def check_image(path: str | os.PathLike, shape: tuple[int, ...]) -> None:
    """Refuse a name in whose format an image could not be saved.

    Args:
        path: Where to; the ending chooses the format.
        shape: `(height, width, channels)` of the image.

    Raises:
        ValueError: If the format takes no such channels, or no such size.
    """
    check_image_name(path)
    kind = Image.registered_extensions()[Path(path).suffix.lower()]
    try:
        image = to_pillow(np.zeros(shape, "uint8"))
        image.save(io.BytesIO(), format=kind)
    except (OSError, ValueError, TypeError, KeyError) as error:
        height, width, channels = shape
        raise ValueError(
            f"An image of {width}x{height} pixels and {channels} channels "
            f"cannot be saved as {kind} ({error}); choose another ending, "
            f"such as .png. Received: {path}"
        ) from error


def check_image_name(path: str | os.PathLike) -> None:
    """Refuse a name whose ending is no image format's."""
    formats = Image.registered_extensions()
    if formats.get(Path(path).suffix.lower()) not in Image.SAVE:
        raise ValueError(
            "The ending of an image's name chooses its format: .png, .jpg, "
            f".webp, ... Received: {path}"
        )


def save_image(image: np.ndarray, path: str | os.PathLike) -> None:
    """Write a uint8 image under another name, and rename it.

    Args:
        image: `(height, width, channels)`, one or three channels.
        path: Where to; the ending chooses the format.
    """
    with written_whole(path) as temporary:
        to_pillow(image).save(temporary)


def to_pillow(image: np.ndarray) -> Image.Image:
    """Return a uint8 image of one or three channels as Pillow's."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def image_grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Lay images out in rows, on white where the last row is not full.

    Args:
        images: uint8, `(num_images, height, width, channels)`.
        columns: Images per row; a square by default.

    Returns:
        One image, `(rows * height, columns * width, channels)`.

    Example:

    >>> from keras_wmgm.utils.files import image_grid
    >>> image_grid(np.zeros((6, 8, 8, 3), "uint8")).shape
    (16, 24, 3)
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cells = np.full((rows * columns, height, width, channels), 255, "uint8")
    cells[:count] = images
    cells = cells.reshape(rows, columns, height, width, channels)
    cells = cells.transpose(0, 2, 1, 3, 4)
    return cells.reshape(rows * height, columns * width, channels)
