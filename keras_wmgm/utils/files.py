"""Images as files: the formats, and a grid of images as one."""

import io
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.writing import written_whole


def check_image(path: str | os.PathLike, shape: tuple[int, ...]) -> None:
    """Refuse a file whose format cannot hold an image of this shape.

    Args:
        path: The file; its ending chooses the format.
        shape: `(height, width, channels)` of the image.

    Raises:
        ValueError: If the format does not take these channels or this size.
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
    """Refuse a file name whose ending is not that of an image format."""
    formats = Image.registered_extensions()
    if formats.get(Path(path).suffix.lower()) not in Image.SAVE:
        raise ValueError(
            "The ending of an image's name chooses its format: .png, .jpg, "
            f".webp, ... Received: {path}"
        )


def save_image(image: np.ndarray, path: str | os.PathLike) -> None:
    """Write an image to a file.

    The file is written under a temporary name and then renamed, so an
    interruption leaves no broken file.

    Args:
        image: uint8, `(height, width, channels)`.
        path: The file, in a folder that exists; its ending chooses the
            format: `.png`, `.jpg`, `.webp`, ...

    Raises:
        ValueError: If `image` is not such an array, or if the ending names
            no image format, or one that does not take these channels.
        OSError: If the file cannot be written.

    Example:

    ```python
    images = model.generate(16, seed=0)
    keras_wmgm.data.save_image(images[0], "first.png")
    ```
    """
    _check_uint8("image", image, 3)
    check_image(path, (1, 1, image.shape[-1]))
    with written_whole(path) as temporary:
        to_pillow(image).save(temporary)


def to_pillow(image: np.ndarray) -> Image.Image:
    """Return a uint8 image as a Pillow image."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def image_grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Arrange images in rows, as one image.

    The rest of the last row is white.

    Args:
        images: uint8, `(num_images, height, width, channels)`.
        columns: Images per row; as many as make a square by default.

    Returns:
        One uint8 image, `(rows * height, columns * width, channels)`.

    Raises:
        ValueError: If `images` is not such an array, or if `columns` is not
            positive.

    Example:

    >>> images = np.zeros((6, 8, 8, 3), "uint8")
    >>> keras_wmgm.data.image_grid(images).shape
    (16, 24, 3)
    """
    _check_uint8("images", images, 4)
    count, height, width, channels = images.shape
    square = math.ceil(math.sqrt(count))
    columns = check_optional_count("columns", columns, square)
    rows = math.ceil(count / columns)
    cells = np.full((rows * columns, height, width, channels), 255, "uint8")
    cells[:count] = images
    cells = cells.reshape(rows, columns, height, width, channels)
    cells = cells.transpose(0, 2, 1, 3, 4)
    return cells.reshape(rows * height, columns * width, channels)


def _check_uint8(name, images, ndim):
    """Refuse what is not one uint8 image, or a batch of them."""
    dtype, shape = getattr(images, "dtype", None), np.shape(images)
    if dtype != np.uint8 or len(shape) != ndim or not all(shape):
        axes = ("num_images", "height", "width", "channels")[-ndim:]
        raise ValueError(
            f"`{name}` must be a uint8 array of shape ({', '.join(axes)}), "
            "such as `generate(..., dtype='uint8')` returns. "
            f"Received: dtype={dtype}, shape={shape}"
        )
