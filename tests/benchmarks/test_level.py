import numpy as np

import keras_wmgm
from benchmarks import level
from benchmarks.squeezenet import frechet_distance


def features(images):
    return images.reshape(len(images), -1)[:, :3].astype("float64")


def test_true_details_complete_the_photographs(monkeypatch):
    monkeypatch.setattr(level, "CHUNK", 4)
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3))
    images = images.astype("uint8")
    model = keras_wmgm.WMGM((8, 8, 3), num_levels=1)
    model.adapt(images)
    whole = level.Level(model, 1, images, features)
    assert [len(chunk) for chunk in level.chunks(whole.details)] == [4, 2]
    drawn = whole.completed(whole.conditions, whole.details)
    np.testing.assert_array_equal(drawn, images)
    np.testing.assert_array_equal(whole.real, features(images))


def test_the_first_photographs_are_compared_with_as_many_drawn():
    images = np.random.default_rng(0).integers(64, 192, (9, 8, 8, 3))
    images = images.astype("uint8")
    model = keras_wmgm.WMGM((8, 8, 3), num_levels=1)
    model.adapt(images)
    whole = level.Level(model, 1, images, features)
    distance, ratios = whole.compare(whole.conditions, whole.details[:5])
    expected = frechet_distance(features(images), features(images[:5]))
    np.testing.assert_allclose(distance, expected, 1e-6)
    np.testing.assert_allclose(ratios, 1.0, 1e-6)
    _, ratios = whole.compare(whole.conditions, 0.5 * whole.details[:5])
    np.testing.assert_allclose(ratios, 0.5, 1e-6)
