import functools

import keras
import numpy as np
import pytest
import pywt
from keras import ops

from keras_wmgm.models import WaveletPyramid
from tests.helpers import run_layer_test
from tests.helpers import to_numpy
from tests.helpers import wave

SHAPE = (8, 12, 3)
# Channels of unlike means and scales.
# Batches of 5 or 10 throughout: XLA compiles anew for every size.
IMAGES = wave((10, *SHAPE)) * [0.2, 0.5, 0.6] + [0.3, -0.2, 0.0]
IMAGES = IMAGES.astype("float32")
PIXELS = np.rint((IMAGES + 1) * 127.5).astype("uint8")


def bands(images, num_levels):
    """Return the bands by PyWavelets, named as in the pyramid."""
    low, found = images.astype("float64"), {}
    if not num_levels:
        found["low_0"] = low
    for k in range(1, num_levels + 1):
        low, details = pywt.dwt2(low, "haar", "periodization", axes=(1, 2))
        found[f"low_{k}"] = low
        found[f"detail_{k}"] = np.concatenate(details, axis=-1)
    return found


def adapted(images=IMAGES, num_levels=2, **kwargs):
    pyramid = WaveletPyramid(images.shape[1:], num_levels)
    pyramid.adapt(images, **kwargs)
    return pyramid


def statistics(pyramid):
    return {w.name: to_numpy(w) for w in pyramid.weights}


def assert_same(pyramid, other):
    found, expected = statistics(pyramid), statistics(other)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_allclose(
            value, expected[name], 1e-5, 1e-6, err_msg=name
        )


@pytest.mark.parametrize("num_levels", [0, 1, 2])
def test_adapt_finds_the_mean_and_deviation_of_every_band(num_levels):
    found = statistics(adapted(num_levels=num_levels))
    assert found.pop("count") == len(IMAGES)
    expected = bands(IMAGES, num_levels)
    assert len(found) == 2 * len(expected)
    for band, values in expected.items():
        mean, std = values.mean(axis=(0, 1, 2)), values.std(axis=(0, 1, 2))
        np.testing.assert_allclose(found[f"{band}_mean"], mean, 0, 1e-5)
        np.testing.assert_allclose(found[f"{band}_std"], std, 1e-5)


@pytest.mark.parametrize("batch_size", [3, 5, 64])
def test_statistics_do_not_depend_on_the_batch_size(batch_size):
    assert_same(adapted(batch_size=batch_size), adapted(batch_size=10))


def test_the_update_does_not_cancel():
    # The deviation is 1e-4 of the mean: a sum of squares would lose it.
    images = (-0.9 + 1e-4 * IMAGES).astype("float32")
    found = statistics(adapted(images, batch_size=5))
    expected = bands(images, 2)["low_2"].std(axis=(0, 1, 2))
    np.testing.assert_allclose(found["low_2_std"], expected, 1e-2)


def test_uint8_images_are_scaled():
    scaled = (PIXELS / 127.5 - 1).astype("float32")
    assert_same(adapted(PIXELS), adapted(scaled))


def test_statistics_are_in_units_of_one_half_range():
    # 0 and 255 are -1 and 1, and the coarse band doubles per level.
    images = np.zeros_like(PIXELS)
    images[::2] = 255
    found = statistics(adapted(images))
    assert not found["low_2_mean"].any() and (found["low_2_std"] == 4).all()


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return PIXELS[5 * i : 5 * i + 5], np.zeros(len(PIXELS))


def generator():
    for i in range(0, 10, 5):
        yield PIXELS[i : i + 5]


def tf_data():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(PIXELS).batch(5)


def torch_loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.as_tensor(PIXELS))
    return torch.utils.data.DataLoader(data, batch_size=5)


@pytest.mark.parametrize(
    "make",
    [
        Batches,
        generator,
        lambda: list(generator()),
        lambda: ops.convert_to_tensor(PIXELS),
        tf_data,
        torch_loader,
    ],
    ids=["PyDataset", "generator", "list", "tensor", "tf.data", "DataLoader"],
)
def test_data_come_in_any_container(make):
    pyramid = WaveletPyramid(SHAPE, 2)
    pyramid.adapt(make())
    assert_same(pyramid, adapted(PIXELS))


def test_empty_batch_changes_nothing():
    pyramid = WaveletPyramid(SHAPE, 2)
    pyramid.adapt([PIXELS[:0], PIXELS, PIXELS[:0]])
    assert_same(pyramid, adapted(PIXELS))


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 4)])
def test_other_numbers_of_channels(shape):
    images = 0.5 * wave((6, *shape))
    pyramid = adapted(images, num_levels=1)
    coarse, details, _ = pyramid.analyze(images)
    assert coarse.shape[-1] == shape[-1]
    y = to_numpy(pyramid.synthesize(coarse, details))
    np.testing.assert_allclose(y, images, 0, 1e-5)


@pytest.mark.parametrize("num_levels", [0, 1, 2])
def test_analyzed_bands_are_white(num_levels):
    coarse, details, conditions = adapted(num_levels=num_levels).analyze(IMAGES)
    assert len(details) == len(conditions) == num_levels
    for band in (coarse, *details, *conditions):
        band = to_numpy(band)
        np.testing.assert_allclose(band.mean(axis=(0, 1, 2)), 0, 0, 1e-5)
        np.testing.assert_allclose(band.std(axis=(0, 1, 2)), 1, 1e-5)


@pytest.mark.parametrize("num_levels", [0, 1, 2])
def test_synthesis_inverts_analysis(num_levels):
    pyramid = adapted(num_levels=num_levels)
    coarse, details, _ = pyramid.analyze(IMAGES)
    y = to_numpy(pyramid.synthesize(coarse, details))
    np.testing.assert_allclose(y, IMAGES, 0, 1e-5)


def test_bands_come_finest_first_and_the_last_condition_is_coarse():
    coarse, details, conditions = adapted().analyze(IMAGES)
    assert [d.shape[1:] for d in details] == [(4, 6, 9), (2, 3, 9)]
    np.testing.assert_array_equal(to_numpy(conditions[-1]), to_numpy(coarse))


def block_means(images, size):
    n, h, w, c = images.shape
    blocks = images.reshape(n, h // size, size, w // size, size, c)
    return blocks.mean(axis=(2, 4))


@pytest.mark.parametrize("k", [1, 2])
def test_thumbnail_is_the_image_reduced_by_block_means(k):
    pyramid = adapted()
    condition = pyramid.analyze(IMAGES)[2][k - 1]
    thumbnail = to_numpy(pyramid.thumbnail(condition, k))
    np.testing.assert_allclose(thumbnail, block_means(IMAGES, 2**k), 0, 1e-5)
    back = pyramid.condition(ops.convert_to_tensor(thumbnail), k)
    np.testing.assert_allclose(to_numpy(back), to_numpy(condition), 0, 1e-4)


def test_reconstruct_goes_one_level_up():
    pyramid = adapted()
    _, details, conditions = pyramid.analyze(IMAGES)
    above = to_numpy(pyramid.reconstruct(conditions[1], details[1], 2))
    np.testing.assert_allclose(above, block_means(IMAGES, 2), 0, 1e-5)
    image = to_numpy(pyramid.reconstruct(conditions[0], details[0], 1))
    np.testing.assert_allclose(image, IMAGES, 0, 1e-5)


def test_without_levels_coarse_is_the_whitened_image():
    pyramid = adapted(num_levels=0)
    coarse, _, _ = pyramid.analyze(IMAGES)
    np.testing.assert_allclose(
        to_numpy(pyramid.thumbnail(coarse, 0)), IMAGES, 0, 1e-6
    )


def test_constant_images_stay_finite():
    images = np.full_like(IMAGES, -0.3)
    pyramid = adapted(images)
    coarse, details, _ = pyramid.analyze(images)
    for band in (coarse, *details):
        np.testing.assert_allclose(to_numpy(band), 0, 0, 1e-6)
    y = to_numpy(pyramid.synthesize(coarse, details))
    np.testing.assert_allclose(y, images, 0, 1e-6)


def test_new_pyramid_is_not_adapted_and_rescales_nothing():
    pyramid = WaveletPyramid(SHAPE, 1)
    assert not pyramid.adapted
    np.testing.assert_allclose(
        to_numpy(pyramid.analyze(IMAGES)[0]), bands(IMAGES, 1)["low_1"], 0, 1e-6
    )
    pyramid.adapt(IMAGES)
    assert pyramid.adapted


def test_everything_is_float32_under_any_policy(mixed_bfloat16):
    pyramid = adapted()
    coarse, details, conditions = pyramid(IMAGES)
    for band in (coarse, *details, *conditions):
        assert keras.backend.standardize_dtype(band.dtype) == "float32"
    coarse, details = ops.cast(coarse, "float32"), list(details)
    y = pyramid.synthesize(coarse, details)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(y), IMAGES, 0, 1e-5)


def test_half_precision_bands_are_composed_in_float32():
    pyramid = adapted()
    coarse, details, _ = pyramid.analyze(IMAGES)
    half = [ops.cast(d, "bfloat16") for d in details]
    y = pyramid.synthesize(ops.cast(coarse, "bfloat16"), half)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(y), IMAGES, 0, 0.02)


def test_statistics_are_saved_and_not_trained(tmp_path):
    pyramid = adapted()
    assert not pyramid.trainable_weights
    inputs = keras.Input(SHAPE)
    path = tmp_path / "pyramid.weights.h5"
    keras.Model(inputs, pyramid(inputs)[0]).save_weights(path)
    twin = WaveletPyramid.from_config(pyramid.get_config())
    keras.Model(inputs, twin(inputs)[0]).load_weights(path)
    assert twin.adapted
    assert_same(twin, pyramid)


@pytest.mark.parametrize("num_levels", [0, 2])
def test_pyramid_is_a_layer(num_levels):
    def make(dtype):
        return WaveletPyramid((4, 4, 2), num_levels, dtype=dtype)

    run_layer_test(make, wave((2, 4, 4, 2)), half_dtype="float32")


NAN = IMAGES.copy()
NAN[3, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    "data, text",
    [
        (IMAGES[:, :4], r"shape \(batch, 8, 12, 3\). Received: shape=\("),
        (IMAGES[..., :1], r"Received: shape=\(10, 8, 12, 1\)"),
        (IMAGES[0], r"Received: shape=\(8, 12, 3\)"),
        (NAN, r"finite and in \[-1, 1\].*Received: values from nan"),
        (IMAGES * 2, r"\[-1, 1\].*Received: values from -.* to 1\."),
        (PIXELS.astype("float32"), r"Received: values from .* to 2..\.0"),
        (PIXELS.astype("int32"), "must be uint8.*Received: dtype=int32"),
        (PIXELS[:0], "at least one image. Received: no image"),
        ([], "at least one image. Received: no image"),
        ([IMAGES[:5], NAN], "Received: values from nan"),
    ],
    ids=[
        "size",
        "channels",
        "no batch",
        "nan",
        "range",
        "255",
        "int32",
        "empty",
        "no batches",
        "second batch",
    ],
)
def test_refused_data_leave_the_statistics_as_they_were(data, text):
    pyramid = adapted(IMAGES[:5])
    before = statistics(pyramid)
    with pytest.raises(ValueError, match=text):
        pyramid.adapt(data)
    after = statistics(pyramid)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_adapting_again_starts_anew():
    pyramid = adapted(IMAGES[:5])
    pyramid.adapt(IMAGES)
    assert_same(pyramid, adapted())


@pytest.mark.parametrize(
    "make, text",
    [
        (
            functools.partial(WaveletPyramid, (20, 24, 3), 3),
            "height that is a multiple of 8. The nearest that fit: 16 and 24.",
        ),
        (
            functools.partial(WaveletPyramid, (16, 4, 3), 3),
            "width that is a multiple of 8. The nearest that fit: 8. Received",
        ),
        (functools.partial(WaveletPyramid, (16, 16), 1), "batch of images"),
        (functools.partial(WaveletPyramid, (16, 16, 0), 1), "`image_shape`"),
        (functools.partial(WaveletPyramid, (16, 16, 3), -1), "`num_levels`"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make, text):
    with pytest.raises(ValueError, match=f"{text}.*"):
        make()


def test_another_number_of_details_is_refused():
    pyramid = adapted()
    coarse, details, _ = pyramid.analyze(IMAGES)
    with pytest.raises(ValueError, match="list of 2 bands. Received: 1"):
        pyramid.synthesize(coarse, details[:1])
