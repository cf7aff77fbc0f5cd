"""Which files are images: by their endings, or else by their contents."""

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL import UnidentifiedImageError

HEIF = (".heic", ".heif", ".hif")
UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow recognizes but cannot read without other programs."""


@cache
def _load_plugins():
    Image.init()
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def readable_formats() -> list[str]:
    """Return the names of all readable formats, in Pillow's order."""
    _load_plugins()
    return [name for name in Image.ID if name not in UNREADABLE]


def endings() -> set[str]:
    """Return the file name endings of all readable formats."""
    names = {*readable_formats(), "MPO"}  # MPO is opened as a JPEG
    return {e for e, name in Image.EXTENSION.items() if name in names}


def is_image(name: str, source: Callable[[], BinaryIO]) -> bool:
    """Whether a file is an image, or may be one that cannot be read.

    Args:
        name: Its name.
        source: Function that opens it, called only if the name has no ending.
    """
    suffix = Path(name).suffix.lower()
    return suffix in endings() if suffix else _has_image(source)


def _has_image(source):
    # Formats without a signature would accept files that are not images.
    formats = [f for f in readable_formats() if Image.OPEN[f][1]]
    try:
        with source() as file, Image.open(file, formats=formats):
            return True
    except UnidentifiedImageError:
        return False
    except Exception:  # reported when the image is read
        return True
