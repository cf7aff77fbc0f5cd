import numpy as np
import pytest

from keras_wmgm.metrics import ssim
from tests.helpers import to_numpy
from tests.helpers import wave


def reference(x, y, data_range, size=11):
    """Return the similarity as in the paper, window by window."""
    offsets = np.arange(size) - size // 2
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window = (window / window.sum())[..., None]
    c_1, c_2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    height, width = x.shape[0] - size + 1, x.shape[1] - size + 1
    values = []
    for i in range(height):
        for j in range(width):
            a, b = (
                image[i : i + size, j : j + size].astype("float64")
                for image in (x, y)
            )
            m_a, m_b = ((window * p).sum((0, 1)) for p in (a, b))
            v_a = (window * (a - m_a) ** 2).sum((0, 1))
            v_b = (window * (b - m_b) ** 2).sum((0, 1))
            both = (window * (a - m_a) * (b - m_b)).sum((0, 1))
            values.append(
                (2 * m_a * m_b + c_1)
                * (2 * both + c_2)
                / ((m_a**2 + m_b**2 + c_1) * (v_a + v_b + c_2))
            )
    return np.mean(values)


X = 0.9 * wave((3, 14, 13, 3))
Y = np.clip(
    X + np.array([0.0, 0.1, 0.6])[:, None, None, None] * wave(X.shape, 1), -1, 1
).astype("float32")


@pytest.mark.parametrize("data_range", [1.0, 2.0, 255.0])
def test_it_is_the_papers_similarity(data_range):
    scale = data_range / 2
    found = to_numpy(ssim(scale * X, scale * Y, data_range))
    expected = [
        reference(scale * x, scale * y, data_range)
        for x, y in zip(X, Y, strict=True)
    ]
    np.testing.assert_allclose(found, expected, 0, 1e-4)
    assert found[0] > found[1] > found[2]


@pytest.mark.parametrize(
    "shape, size", [((8, 9), 7), ((4, 12), 3), ((2, 2), 1)]
)
def test_small_images_get_the_largest_window_that_fits(shape, size):
    x, y = X[:, : shape[0], : shape[1]], Y[:, : shape[0], : shape[1]]
    expected = [reference(a, b, 2.0, size) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(to_numpy(ssim(x, y)), expected, 0, 1e-4)


def test_equal_images_are_alike_and_the_order_is_of_no_matter():
    np.testing.assert_allclose(to_numpy(ssim(Y, Y)), 1, 1e-5)
    np.testing.assert_allclose(to_numpy(ssim(X, Y)), to_numpy(ssim(Y, X)), 1e-5)


def test_the_range_sets_what_counts_as_a_difference():
    wide, narrow = (to_numpy(ssim(X, Y, r))[2] for r in (20.0, 2.0))
    assert wide > narrow + 0.1


def test_flat_images_are_compared_by_their_brightness():
    a, b = np.full((1, 12, 12, 1), 0.5), np.full((1, 12, 12, 1), -0.2)
    c_1 = 0.02**2
    expected = (2 * 0.5 * -0.2 + c_1) / (0.25 + 0.04 + c_1)
    np.testing.assert_allclose(to_numpy(ssim(a, b)), [expected], 1e-3)
