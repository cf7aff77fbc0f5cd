"""One file's pixels: values in every mode, EXIF data, and broken bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_wmgm import data
from keras_wmgm.data.decode import decode

COLOR = (200, 100, 50)
GREY = 124  # the luma of COLOR


def plain(mode="RGB"):
    return Image.new("RGB", (4, 4), COLOR).convert(mode)


def deep(value, dtype):
    """Return an image of one value, in whatever mode its dtype has."""
    return Image.fromarray(np.full((4, 4), value, dtype))


def encode(image, ending, **kwargs):
    file = io.BytesIO()
    image.save(file, ending, **kwargs)
    return file.getvalue()


def pixel(content, mode="RGB"):
    return np.asarray(decode(content, mode).image)[0, 0].tolist()


@pytest.mark.parametrize(
    "mode, ending",
    [
        ("RGB", "JPEG2000"),
        ("RGB", "PPM"),
        ("RGB", "TGA"),
        ("CMYK", "TIFF"),
        ("CMYK", "JPEG"),  # as Adobe stores it, inverted
        ("LAB", "TIFF"),
        ("YCbCr", "TIFF"),
        ("YCbCr", "JPEG"),
    ],
)
def test_colors_of_any_mode_become_rgb_or_grey(mode, ending):
    content = encode(plain(mode), ending)
    np.testing.assert_allclose(pixel(content), COLOR, 0, 2)
    assert abs(pixel(content, "L") - GREY) <= 1


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_stays_as_it_is(mode):
    assert pixel(encode(plain(mode), "PNG")) == [GREY] * 3
    assert pixel(encode(plain(mode), "PNG"), "L") == GREY


@pytest.mark.parametrize("value, expected", [(0, 0), (1, 255)])
def test_one_bit_is_black_or_white(value, expected):
    assert pixel(encode(Image.new("1", (4, 4), value), "PNG"), "L") == expected


@pytest.mark.parametrize("mode", ["P", "PA"])
def test_palettes_are_looked_up(mode):
    image = plain().quantize(2).convert(mode)
    assert pixel(encode(image, "TIFF")) == list(COLOR)


@pytest.mark.parametrize(
    "image, clear",
    [
        (plain().quantize(2), 0),
        (plain(), COLOR),
        (plain("L"), GREY),
        (deep(257 * 40, "uint16"), 257 * 40),
    ],
)
def test_a_transparent_color_is_white(image, clear):
    assert pixel(encode(image, "PNG", transparency=clear)) == [255] * 3


@pytest.mark.parametrize(
    "image, ending, expected",
    [
        (deep(257 * 40, "uint16"), "PNG", 40),
        (deep(257 * 40, "uint16"), "JPEG2000", 40),
        (deep(257 * 40, ">u2"), "TIFF", 40),
        (deep(257 * 40, "int32"), "TIFF", 40),
        (deep(65535, "uint16"), "TIFF", 255),
        (deep(0.4, "float32"), "TIFF", 102),
        (deep(1.0, "float32"), "TIFF", 255),
    ],
)
def test_more_than_8_bits_are_scaled(image, ending, expected):
    assert pixel(encode(image, ending), "L") == expected
    assert not decode(encode(image, ending), "L").dark


@pytest.mark.parametrize(
    "value, dtype, text",
    [
        (70000, "int32", "integers are from 70000 to 70000, .* 0 to 65535"),
        (-1, "int32", "integers are from -1 to -1"),
        (1.01, "float32", "floats are from 1.01 to 1.01"),
        (200.0, "float32", "floats are from 200 to 200, .* from 0 to 1;"),
        (np.nan, "float32", "floats are from nan to nan"),
    ],
)
def test_values_of_no_known_scale_are_refused(tmp_path, value, dtype, text):
    deep(value, dtype).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=f"{text}.*Received: "):
        data.load_image(tmp_path / "a.tif")


@pytest.mark.parametrize("value, expected", [(-5e-4, 0), (1.0005, 255)])
def test_floats_that_rounding_moved_beyond_the_ends_are_clipped(
    value, expected
):
    assert pixel(encode(deep(value, "float32"), "TIFF"), "L") == expected


@pytest.mark.parametrize("value, dark", [(0, False), (1, True), (4095, True)])
def test_only_a_black_image_may_be_dark(value, dark):
    assert decode(encode(deep(value, "uint16"), "TIFF"), "L").dark == dark


def test_values_of_12_bits_are_scaled_where_the_file_says_so():
    """A TIFF by hand: two pixels in three bytes, 4095 and 2048."""
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8)]
    entries = [*tags, (277, 1), (278, 1), (279, 3)]
    content = b"II*\0" + (12).to_bytes(4, "little") + b"\xff\xf8\x00\0"
    content += len(entries).to_bytes(2, "little")
    for tag, value in entries:
        for number, size in ((tag, 2), (4, 2), (1, 4), (value, 4)):
            content += number.to_bytes(size, "little")
    decoded = decode(content + bytes(4), "L")
    assert np.asarray(decoded.image).tolist() == [[255, 128]]


def test_images_that_come_out_dark_are_named_once(tmp_path, recwarn):
    for name in ("a.png", "b.tif"):
        deep(4095, "uint16").save(tmp_path / name)
    deep(40000, "uint16").save(tmp_path / "c.png")
    images = data.load_images(tmp_path, 4, channels=1)
    assert images[:, 0, 0, 0].tolist() == [16, 16, 156]
    data.load_image(tmp_path / "b.tif")
    first, second = (str(warning.message) for warning in recwarn)
    assert first.endswith("Received: 2 (a.png, b.tif)")
    assert "12 bits" in second and "b.tif" in second


@pytest.mark.parametrize("ending", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_frame_is_read(ending):
    frames = {"save_all": True, "append_images": [Image.new("RGB", (4, 4))]}
    np.testing.assert_allclose(
        pixel(encode(plain(), ending, **frames)), COLOR, 0, 2
    )


def wrong_exif():
    """Return EXIF data that turns, and whose resolution is a text."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0131] = "text"
    return exif.tobytes().replace(b"\x01\x31", b"\x01\x1a")


BROKEN_EXIF = b"Exif\0\0MM\0*" + b"\xff" * 12


@pytest.mark.parametrize("ending", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif, is_turned", [(wrong_exif(), True), (BROKEN_EXIF, False)]
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_exif_data_costs_no_image(tmp_path, ending, exif, is_turned):
    """It is turned where the orientation can be read."""
    left_black = np.uint8([[0] * 8 + [255] * 8] * 16)
    image = Image.fromarray(left_black).convert("RGB")
    image.save(tmp_path / "a", ending, exif=exif, quality=100)
    expected = np.rot90(left_black, -1) if is_turned else left_black
    for found in (
        data.load_images(tmp_path, 16, channels=1)[0, ..., 0],
        data.load_image(tmp_path / "a", channels=1)[..., 0],
    ):
        np.testing.assert_allclose(found, expected, 0, 2)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_whatever_a_decoder_raises_is_one_unreadable_image(tmp_path, capsys):
    """Bits are flipped in small files of several formats."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (12, 12, 3), "uint8"))
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "maker", 0x011A: 72.0})
    image.save(tmp_path / "good.png")
    for ending in ("GIF", "JPEG", "PNG", "TIFF", "WEBP"):
        content = np.frombuffer(encode(image, ending, exif=exif), "uint8")
        for number in range(40):
            bits = np.unpackbits(content)
            bits[rng.integers(0, min(bits.size, 2000), 4)] ^= 1
            name = f"{ending}{number}.{ending.lower()}"
            (tmp_path / name).write_bytes(np.packbits(bits).tobytes())
    images = data.load_images(tmp_path, 8, on_error="skip")
    said = capsys.readouterr().out.splitlines()
    assert len(images) + len(said) == 201 and len(said) > 40
    assert all(line.startswith("left out: ") for line in said)
    assert "BytesIO" not in "".join(said)
    with pytest.raises(ValueError, match=f"{len(said)} of 201 .*Received: "):
        data.load_images(tmp_path, 8)
