"""Photographs in a folder or a zip file, of any size and mode."""

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from PIL import ImageOps

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count

CROPS = ("center", "stretch")
ON_ERROR = ("raise", "skip")
MODES = {1: "L", 3: "RGB"}
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,  # an encrypted member of a zip file
    SyntaxError,  # Pillow's for a broken PNG
    zipfile.BadZipFile,
    zlib.error,
    Image.DecompressionBombError,
)
ENDINGS = (
    ".avif",
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)


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

    Every file with the ending of an image is read, in folders within folders
    too, in the order of their names. Images are turned as their EXIF tag
    says, laid on white where they are transparent, and converted to RGB (or
    grey) from any mode; then cropped, and reduced with a Lanczos filter.

    Args:
        path: A folder, a zip file, or a folder inside of one:
            `photos.zip:train`.
        image_size: Height and width, or one number for both.
        crop: `"center"` cuts the middle out, in the shape of `image_size`;
            `"stretch"` keeps all and distorts.
        channels: 3, or 1 for grey.
        on_error: What to do where an image cannot be read, or is smaller than
            `image_size`: `"raise"`, or `"skip"` it and print its name.

    Returns:
        uint8 images, `(num_images, height, width, channels)`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If there is no image, or one that cannot be read.
    """
    check_choice("crop", crop, CROPS)
    check_choice("on_error", on_error, ON_ERROR)
    mode = MODES[check_choice("channels", channels, MODES)]
    size = _check_size(image_size)
    files = _files(path)
    if not files:
        raise ValueError(
            "There is no image here; files with these endings are read: "
            f"{', '.join(ENDINGS)}. Received: {path}"
        )

    def read(name):
        try:
            return _read(files[name], size, crop, mode)
        except UNREADABLE as error:
            return error

    with ThreadPoolExecutor() as pool:
        results = dict(zip(files, pool.map(read, files), strict=True))
    good = _without_errors(results, on_error, path)
    images = np.stack(good)
    return images if images.ndim == 4 else images[..., None]


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
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no image. Received: {path}")
    try:
        image = np.asarray(_open(path.read_bytes(), mode))
    except UNREADABLE as error:
        raise ValueError(
            f"The image cannot be read: {error}. Received: {path}"
        ) from None
    return image if image.ndim == 3 else image[..., None]


def image_files(folder: str | os.PathLike) -> list[Path]:
    """Return the image files of a folder and those within, by name."""
    paths = [p for p in Path(folder).rglob("*") if p.is_file()]
    return sorted(p for p in paths if _is_image(str(p.relative_to(folder))))


def _check_size(image_size):
    """Return `(height, width)`."""
    if isinstance(image_size, (tuple, list)) and len(image_size) == 2:
        return tuple(check_count("image_size", s) for s in image_size)
    return (check_count("image_size", image_size),) * 2


def _files(path) -> dict[str, Callable[[], bytes]]:
    """Return a reader of each image's bytes, by name and in its order."""
    text = os.fspath(path)
    archive, colon, inside = text.partition(".zip:")
    if colon or zipfile.is_zipfile(text):
        return _zipped(archive + ".zip" if colon else text, inside)
    folder = Path(text)
    if folder.is_file():
        raise ValueError(
            "Images are read from a folder or a zip file, and this file is "
            f"no whole zip file. Received: {text}"
        )
    if not folder.is_dir():
        raise FileNotFoundError(
            "Images are read from a folder or a zip file, and there is none. "
            f"Received: {text}"
        )
    paths = image_files(folder)
    return {str(p.relative_to(folder)): p.read_bytes for p in paths}


def _zipped(path, inside):
    if not zipfile.is_zipfile(path):
        raise FileNotFoundError(f"There is no zip file. Received: {path}")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"The zip file is damaged ({error}). Received: {path}"
        ) from None
    prefix = inside.strip("/") + "/" if inside else ""
    names = sorted(
        name
        for name in archive.namelist()
        if name.startswith(prefix) and _is_image(name)
    )
    return {name: _member(archive, name) for name in names}


def _member(archive, name):
    return lambda: archive.read(name)


def _is_image(name):
    parts = Path(name).parts
    hidden = any(p.startswith((".", "__MACOSX")) for p in parts)
    return not hidden and name.lower().endswith(ENDINGS)


def _read(read_bytes, size, crop, mode):
    """Return one image as a uint8 array."""
    image = _open(read_bytes(), mode)
    height, width = size
    if image.height < height or image.width < width:
        raise ValueError(
            f"it is {image.width}x{image.height} pixels, smaller than "
            f"{width}x{height}"
        )
    if crop == "center":
        return np.asarray(ImageOps.fit(image, (width, height), Image.LANCZOS))
    return np.asarray(image.resize((width, height), Image.LANCZOS))


def _open(content, mode):
    with Image.open(io.BytesIO(content)) as opened:
        return _to_mode(ImageOps.exif_transpose(opened), mode)


def _to_mode(image, mode):
    """Convert from any mode; 16 bits to 8, and transparency to white."""
    if image.mode.startswith("I"):
        values = np.asarray(image, "float64") / 257
        image = Image.fromarray(np.clip(values, 0, 255).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _without_errors(results, on_error, path):
    errors = {n: r for n, r in results.items() if isinstance(r, Exception)}
    good = [r for r in results.values() if not isinstance(r, Exception)]
    lines = [f"{name}: {error}" for name, error in errors.items()]
    if lines and (on_error == "raise" or not good):
        shown = "; ".join(lines[:5]) + ("; ..." if len(lines) > 5 else "")
        raise ValueError(
            f"{len(lines)} of {len(results)} images cannot be used ({shown}); "
            f"mend them, or leave them out with on_error='skip'. "
            f"Received: {path}"
        )
    for line in lines:
        print(f"left out: {line}")
    return good
