"""Images written to files, alone and as a grid."""

import numpy as np
import pytest
from PIL import Image

from keras_wmgm.data import image_grid
from keras_wmgm.data import save_image

pytestmark = pytest.mark.once

IMAGES = np.arange(5 * 2 * 3 * 3, dtype="uint8").reshape(5, 2, 3, 3)


def test_a_grid_is_filled_by_rows():
    images = np.arange(5, dtype="uint8")[:, None, None, None]
    images = images * np.ones((1, 2, 3, 1), "uint8")
    grid = image_grid(images)
    assert grid.shape == (4, 9, 1)
    assert grid[::2, ::3, 0].tolist() == [[0, 1, 2], [3, 4, 255]]
    assert image_grid(images, columns=5).shape == (2, 15, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_holds_the_image(tmp_path, channels):
    path = tmp_path / "image.png"
    image = IMAGES[0, ..., :channels]
    save_image(image, path)
    found = np.asarray(Image.open(path)).reshape(image.shape)
    np.testing.assert_array_equal(found, image)
    assert list(tmp_path.iterdir()) == [path]


OTHERS = {
    "floats": IMAGES / 127.5 - 1,
    "wide": IMAGES.astype("int64"),
    "one axis less": IMAGES[..., 0],
    "empty": IMAGES[:, :0],
    "list": IMAGES.tolist(),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_arrays_are_refused(tmp_path, kind):
    # NumPy would cut floats off to integers without a word.
    images = OTHERS[kind]
    with pytest.raises(ValueError, match="`images` must be.*Received: "):
        image_grid(images)
    with pytest.raises(ValueError, match="`image` must be.*Received: "):
        save_image(images[0], tmp_path / "image.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("columns", [0, -1, 1.5])
def test_a_grid_has_columns(columns):
    with pytest.raises(ValueError, match="`columns` must be.*Received: "):
        image_grid(IMAGES, columns)


@pytest.mark.parametrize(
    "name, channels, text",
    [
        ("image.txt", 3, "chooses its format"),
        ("image.jpg", 4, "4 channels cannot be saved as JPEG"),
        ("image.png", 5, "5 channels cannot be saved as PNG"),
    ],
)
def test_what_no_format_takes_is_refused(tmp_path, name, channels, text):
    image = np.zeros((2, 2, channels), "uint8")
    with pytest.raises(ValueError, match=f"{text}.*Received: "):
        save_image(image, tmp_path / name)
    assert not list(tmp_path.iterdir())
