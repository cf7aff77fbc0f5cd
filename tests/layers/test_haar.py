import keras
import ml_dtypes
import numpy as np
import pytest
import pywt

from keras_wmgm.layers import HaarDWT2D
from keras_wmgm.layers import HaarIWT2D
from tests.helpers import run_layer_test
from tests.helpers import to_numpy
from tests.helpers import wave

DTYPES = ["float32", "float16", "bfloat16"]
SHAPE = (2, 8, 6, 3)
CASES = [(SHAPE, dtype) for dtype in DTYPES]
CASES += [((1, 2, 2, 1), "float32"), ((3, 4, 10, 4), "float32")]


def rounded(x, dtype):
    """Return `x` as float64, as far as `dtype` can hold it."""
    return x.astype(ml_dtypes.finfo(dtype).dtype).astype("float64")


def tolerance(dtype, expected):
    """Three additions, each off by half a unit in the last place."""
    return 2 * float(ml_dtypes.finfo(dtype).eps) * np.abs(expected).max()


@pytest.mark.parametrize("shape, dtype", CASES)
def test_bands_are_those_of_pywavelets(shape, dtype):
    x = rounded(wave(shape), dtype)
    c_a, bands = pywt.dwt2(x, "haar", mode="periodization", axes=(1, 2))
    expected = np.concatenate(bands, axis=-1)
    coarse, details = HaarDWT2D(dtype=dtype)(x)
    assert keras.backend.standardize_dtype(details.dtype) == dtype
    np.testing.assert_allclose(
        to_numpy(coarse), c_a, 0, tolerance(dtype, x) * 2
    )
    np.testing.assert_allclose(
        to_numpy(details), expected, 0, tolerance(dtype, x) * 2
    )


@pytest.mark.parametrize("shape, dtype", CASES)
def test_inverse_is_that_of_pywavelets(shape, dtype):
    low, high = rounded(wave(shape), dtype), rounded(wave((3, *shape)), dtype)
    expected = pywt.idwt2(
        (low, tuple(high)), "haar", mode="periodization", axes=(1, 2)
    )
    y = HaarIWT2D(dtype=dtype)((low, np.concatenate(high, axis=-1)))
    np.testing.assert_allclose(
        to_numpy(y), expected, 0, tolerance(dtype, low) * 2
    )


def test_two_by_two_by_hand():
    # [[9, 3], [1, 5]]: the sum is 18; top minus bottom 12 - 6; left minus
    # right 10 - 8; diagonal minus antidiagonal 14 - 4. All halved.
    x = np.array([[9.0, 3.0], [1.0, 5.0]]).reshape(1, 2, 2, 1)
    coarse, details = HaarDWT2D()(x)
    assert to_numpy(coarse).tolist() == [[[[9.0]]]]
    assert to_numpy(details).tolist() == [[[[3.0, 1.0, 5.0]]]]
    # Back: (9 + 3 + 1 + 5) / 2, (9 + 3 - 1 - 5) / 2, ...
    assert to_numpy(HaarIWT2D()((coarse, details))).tolist() == x.tolist()


@pytest.mark.parametrize(
    "stripes, band",
    [([[1, 1], [-1, -1]], 0), ([[1, -1], [1, -1]], 1), ([[1, -1], [-1, 1]], 2)],
)
def test_stripes_are_in_one_band_of_their_channel(stripes, band):
    x = np.zeros((1, 2, 2, 3))
    x[0, :, :, 1] = stripes
    coarse, details = HaarDWT2D()(x)
    expected = np.zeros(9)
    expected[3 * band + 1] = 2.0
    assert not to_numpy(coarse).any()
    assert to_numpy(details).ravel().tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_reconstruction_is_perfect(dtype):
    x = rounded(wave(SHAPE), dtype)
    y = HaarIWT2D(dtype=dtype)(HaarDWT2D(dtype=dtype)(x))
    # Twice the transform's error: every value is rounded on both ways.
    np.testing.assert_allclose(to_numpy(y), x, 0, 4 * tolerance(dtype, x))


def test_energy_is_kept():
    x = wave(SHAPE)
    energy = sum((to_numpy(b) ** 2).sum() for b in HaarDWT2D()(x))
    np.testing.assert_allclose(energy, (x**2).sum(), 1e-6)


def test_inverse_is_the_adjoint():
    x, low, high = wave(SHAPE), wave((2, 4, 3, 3)), wave((2, 4, 3, 9))
    coarse, details = (to_numpy(b) for b in HaarDWT2D()(x))
    forward = (coarse * low).sum() + (details * high).sum()
    backward = (x * to_numpy(HaarIWT2D()((low, high)))).sum()
    np.testing.assert_allclose(forward, backward, 1e-5)


def test_uint8_does_not_overflow():
    x = np.array([[255, 255], [255, 0]], "uint8").reshape(1, 2, 2, 1)
    coarse, details = HaarDWT2D()(x)
    assert to_numpy(coarse).item() == 382.5
    assert to_numpy(details).ravel().tolist() == [127.5, 127.5, -127.5]


@pytest.mark.parametrize(
    "shape, text",
    [
        (
            (1, 5, 4, 1),
            "height that is a.* of 2.*fit: 4 and 6.*height=5",
        ),
        ((1, 4, 7, 1), "width that is a.* of 2.*fit: 6 and 8.*width=7"),
        ((1, 1, 4, 1), "fit: 2. Received: height=1"),
        ((4, 4, 1), r"batch of images.*Received: shape=\(4, 4, 1\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(shape, text):
    with pytest.raises(ValueError, match=text):
        HaarDWT2D()(np.ones(shape))
    with pytest.raises(ValueError, match=text):
        HaarDWT2D().compute_output_shape(shape)


@pytest.mark.parametrize(
    "coarse, details",
    [
        ((1, 2, 2, 3), (1, 2, 2, 3)),
        ((1, 2, 2, 3), (1, 2, 4, 9)),
        ((2, 2, 3), (2, 2, 9)),
    ],
)
def test_bands_that_do_not_belong_together_are_refused(coarse, details):
    with pytest.raises(ValueError, match="Received: coarse.shape"):
        HaarIWT2D()((np.ones(coarse), np.ones(details)))


def test_dwt_is_a_layer():
    run_layer_test(HaarDWT2D, wave(SHAPE))


def test_iwt_is_a_layer():
    run_layer_test(HaarIWT2D, (wave((2, 4, 3, 3)), wave((2, 4, 3, 9))))
