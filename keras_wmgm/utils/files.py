"""Images and JSON in files, written so that no half of one is ever left."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def check_image_name(path: str | os.PathLike) -> None:
    """Refuse a name whose ending is no image format's."""
    formats = Image.registered_extensions()
    if formats.get(Path(path).suffix.lower()) not in Image.SAVE:
        raise ValueError(
            "The ending of an image's name chooses its format: .png, .jpg, "
            f".webp, ... Received: {path}"
        )


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Give another name to write to, and rename what is there in the end.

    Args:
        path: The file, which is replaced; or left, where the writing fails.
    """
    path = Path(path)
    temporary = path.with_name(f".new.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write JSON under another name, and rename it."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


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
