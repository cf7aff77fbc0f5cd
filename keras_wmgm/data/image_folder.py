"""Photographs in a folder or a zip file, of any size and mode."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from PIL import ImageOps

from keras_wmgm.data.decode import Decoded
from keras_wmgm.data.decode import decode
from keras_wmgm.data.decode import reason
from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.data.sources import find_images
from keras_wmgm.data.sources import open_file
from keras_wmgm.data.sources import shown
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.writing import as_path
from keras_wmgm.utils.writing import expand_user

CROPS = ("center", "stretch")
ON_ERROR = ("raise", "skip")
MODES = {1: "L", 3: "RGB"}


def image_folder(
    path: str | os.PathLike,
    image_size: int | tuple[int, int],
    batch_size: int = 32,
    crop: str = "center",
    flip: bool = False,
    channels: int = 3,
    on_error: str = "raise",
    seed: int = 0,
) -> ImageBatches:
    """Read the images of a folder or a zip file as batches for `fit`.

    Args:
        path: As of `load_images`.
        image_size: As of `load_images`.
        batch_size: Images per batch.
        crop: As of `load_images`.
        flip: Whether each image is mirrored with probability 1/2.
        channels: As of `load_images`.
        on_error: As of `load_images`.
        seed: Seed of order and mirroring.

    Returns:
        `ImageBatches` of uint8 images.

    Raises:
        ValueError: As `load_images`.
        FileNotFoundError: As `load_images`.

    Example:

    ```python
    images = keras_wmgm.data.image_folder("photos/", 64, flip=True)
    model.fit(images, epochs=100)
    ```
    """
    images = load_images(path, image_size, crop, channels, on_error)
    return ImageBatches(images, batch_size, flip=flip, seed=seed)


def load_images(
    path: str | os.PathLike,
    image_size: int | tuple[int, int],
    crop: str = "center",
    channels: int = 3,
    on_error: str = "raise",
) -> np.ndarray:
    """Read the images of a folder or a zip file into one array.

    It reads every file with an ending that Pillow knows, and files without an
    ending whose content is an image, including those in subfolders, in the
    order of their names. Other files and linked folders are left out, and
    their number is printed. Hidden files are ignored.

    Images are turned by their EXIF orientation, put on white where they are
    transparent, and converted to RGB (or gray) from any mode; then they are
    cropped and reduced with a Lanczos filter. Only the first of several frames
    or pages is read. Color profiles are not applied. Values become 8 bits:

    - Integers of more than 8 bits are scaled from [0, 65535], or from
      [0, 4095] if the file says that it holds 12 bits. A warning names images
      that use a sixteenth of the range or less and so come out dark.
    - Floats are scaled from [0, 1].
    - An image with other values cannot be read.

    Args:
        path: A folder, a zip file, or a folder inside a zip file:
            `photos.zip:train`.
        image_size: Height and width, or one number for both.
        crop: `"center"` cuts out the middle, in the shape of `image_size`;
            `"stretch"` keeps the whole image and distorts it.
        channels: 3, or 1 for gray.
        on_error: What to do if an image cannot be read or is smaller than
            `image_size`: `"raise"` an error, or `"skip"` it and print its
            name.

    Returns:
        uint8 images, `(num_images, height, width, channels)`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If there is no image, or an image that cannot be read.
    """
    check_choice("crop", crop, CROPS)
    check_choice("on_error", on_error, ON_ERROR)
    mode = MODES[check_choice("channels", channels, MODES)]
    size = _check_size(image_size)
    sources = find_images(path)
    if not sources:
        raise ValueError(f"There is no image here. Received: {path}")

    def read(source):
        try:
            return _fit(_read(source, mode), size, crop)
        except Exception as error:  # a decoder may raise anything
            return error

    with ThreadPoolExecutor() as pool:
        results = pool.map(read, sources.values())
        results = dict(zip(sources, results, strict=True))
    good = _without_errors(results, on_error, path)
    _warn_of_dark([name for name, decoded in good.items() if decoded.dark])
    return np.stack([_to_array(decoded.image) for decoded in good.values()])


def load_image(path: str | os.PathLike, channels: int = 3) -> np.ndarray:
    """Read one image file at its own size.

    Args:
        path: The file.
        channels: As of `load_images`.

    Returns:
        uint8 image, `(height, width, channels)`.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it cannot be read.
    """
    mode = MODES[check_choice("channels", channels, MODES)]
    path = expand_user(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no image. Received: {path}")
    try:
        decoded = _read(partial(open_file, path), mode)
    except Exception as error:  # a decoder may raise anything
        raise ValueError(
            f"The image cannot be read: {reason(error)}. Received: {path}"
        ) from None
    _warn_of_dark([path] if decoded.dark else [])
    return _to_array(decoded.image)


def image_files(folder: str | os.PathLike) -> list[Path]:
    """Return the image files of a folder and its subfolders, by name."""
    folder = as_path(folder)
    return [folder / name for name in find_images(folder)]


def _check_size(image_size):
    """Return `(height, width)`."""
    if isinstance(image_size, (tuple, list)) and len(image_size) == 2:
        return tuple(check_count("image_size", s) for s in image_size)
    return (check_count("image_size", image_size),) * 2


def _read(source, mode):
    with source() as file:
        content = file.read()
    return decode(content, mode)


def _fit(decoded, size, crop):
    """Crop and reduce an image to `(height, width)`."""
    image, (height, width) = decoded.image, size
    if image.height < height or image.width < width:
        raise ValueError(
            f"it is {image.width}x{image.height} pixels, smaller than "
            f"{width}x{height}"
        )
    if crop == "center":
        image = ImageOps.fit(image, (width, height), Image.LANCZOS)
    else:
        image = image.resize((width, height), Image.LANCZOS)
    return Decoded(image, decoded.dark)


def _to_array(image):
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _without_errors(results, on_error, path):
    """Return the results without errors; print or raise the errors."""
    errors = {n: r for n, r in results.items() if isinstance(r, Exception)}
    good = {n: r for n, r in results.items() if n not in errors}
    lines = [f"{shown([n])}: {reason(error)}" for n, error in errors.items()]
    if lines and (on_error == "raise" or not good):
        examples = "; ".join(lines[:5]) + ("; ..." if len(lines) > 5 else "")
        raise ValueError(
            f"{len(lines)} of {len(results)} images cannot be used "
            f"({examples}); mend them, or leave them out with "
            f"on_error='skip'. Received: {path}"
        )
    for line in lines:
        print(f"left out: {line}")
    return good


def _warn_of_dark(names):
    if names:
        warnings.warn(
            "Images of more than 8 bits come out dark, as they use at most a "
            "sixteenth of their range. Scale up the values of images with "
            f"12 bits. Received: {len(names)} ({shown(names)})",
            stacklevel=3,
        )
