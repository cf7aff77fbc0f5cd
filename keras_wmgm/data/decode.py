"""Decoding one image file to 8 bits of RGB or gray."""

import io
from typing import NamedTuple

import numpy as np
from PIL import ExifTags
from PIL import Image
from PIL import UnidentifiedImageError

from keras_wmgm.data.formats import readable_formats

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn an image upright, by its EXIF orientation."""
DARK = 16
"""An image is dark if its largest value, of 255, is at most this."""
SLACK = 1e-3
"""How far floats may lie beyond [0, 1], by rounding or a resampling filter."""


class Decoded(NamedTuple):
    """An image, and whether it has more than 8 bits and uses few of them."""

    image: Image.Image
    dark: bool


def decode(content: bytes, mode: str) -> Decoded:
    """Decode the first image of a file.

    Args:
        content: The bytes of the file.
        mode: `"RGB"` or `"L"`.

    Raises:
        Exception: Of any kind, from the decoders.
    """
    formats = readable_formats()
    try:
        opened = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise ValueError(
            "it is not an image, or damaged, or of a format that needs a "
            "plug-in of Pillow (HEIC: `pip install pillow-heif`)"
        ) from None
    with opened:
        stored = str(opened.tile)  # Pillow forgets it when it loads the image
        opened.load()
        image = _to_8_bits(_upright(opened), 4095 if "I;12" in stored else None)
        image = _on_white(image).convert("RGB").convert(mode)
    deep = opened.mode.startswith("I") or ";16" in stored
    # An image that is all black is as dark as it should be.
    dark = deep and np.asarray(image).max() <= DARK and np.any(opened)
    return Decoded(image, bool(dark))


def reason(error: Exception) -> str:
    """Return why a file cannot be read."""
    text = str(error)
    return text if " " in text else repr(error)  # a `KeyError` has only a key


def _upright(image):
    """Turn an image by its EXIF orientation, if that can be read."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # broken EXIF data; the pixels are good
        return image
    return image if turn is None else image.transpose(turn)


def _to_8_bits(image, top=None):
    """Scale 16-bit integers, or floats in [0, 1], and refuse other values."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    top = top or (1 if image.mode == "F" else 65535)
    low, high = values.min(), values.max()
    slack = SLACK if image.mode == "F" else 0
    if not (-slack <= low and high <= top + slack):
        kind = "floats" if image.mode == "F" else "integers"
        raise ValueError(
            f"its {kind} are from {low:g} to {high:g}, and must be from 0 to "
            f"{top}; save it with 8 bits per channel"
        )
    values = np.float32(values.clip(0, top)) * np.float32(255 / top)
    values[np.asarray(image) == image.info.get("transparency")] = 255  # white
    return Image.fromarray(np.rint(values).astype("uint8"))


def _on_white(image):
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image)
