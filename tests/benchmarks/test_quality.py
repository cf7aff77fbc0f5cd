import numpy as np
import pytest

from benchmarks import quality
from benchmarks import squeezenet


def rng():
    return np.random.default_rng(0)


def test_features_do_not_depend_on_the_batches(weights):
    network = squeezenet.SqueezeNet(weights)
    images = rng().integers(0, 256, (5, 128, 128, 3)).astype("uint8")
    whole, parts = network(images), network(images, batch_size=2)
    assert whole.shape == (5, 512) and whole.dtype == "float64"
    np.testing.assert_allclose(whole, parts, 1e-4, 1e-3)
    assert whole.std(axis=0).max() > 0.1


def test_input_is_blue_first_minus_the_means_of_imagenet(weights, monkeypatch):
    network = squeezenet.SqueezeNet(weights)
    seen = []
    monkeypatch.setattr(
        network, "_conv", lambda x, *a, **k: seen.append(np.asarray(x)) or 0 / 0
    )
    image = np.broadcast_to(
        np.array([1, 2, 3], "uint8"), (1, 128, 128, 3)
    ).copy()
    with pytest.raises(ZeroDivisionError):
        network(image)
    expected = np.subtract([3, 2, 1], [103.939, 116.779, 123.68])
    np.testing.assert_allclose(seen[0][0, 0, 0], expected, 1e-5)


def test_frechet_distance_of_gaussians():
    """|m|^2 + sum (s_a - s_b)^2 for independent features."""
    features = rng().normal(size=(400, 3))
    features -= features.mean(0)
    features = np.linalg.solve(
        np.linalg.cholesky(np.cov(features.T)), features.T
    )
    a, b = features.T * [1, 2, 3], features.T * [2, 2, 1] + [1, 0, 2]
    distance = squeezenet.frechet_distance(a, b)
    np.testing.assert_allclose(distance, 1 + 4 + 1 + 0 + 4, 1e-6)
    np.testing.assert_allclose(squeezenet.frechet_distance(a, a), 0, atol=1e-6)


def test_precision_and_recall_of_sets_that_overlap_in_half():
    real, drawn = rng().uniform(size=(2, 1500, 1))
    precision, recall = squeezenet.precision_recall(real, drawn + 0.5)
    assert 0.47 < precision < 0.53 and 0.47 < recall < 0.53
    assert squeezenet.precision_recall(real, real) == (1.0, 1.0)
    assert squeezenet.precision_recall(real, drawn + 2) == (0.0, 0.0)


def test_novelty_is_1_for_new_images_and_0_for_copies():
    real, drawn, held_out = rng().normal(size=(3, 800, 4))
    assert 0.9 < squeezenet.novelty(real, drawn, held_out) < 1.1
    assert squeezenet.novelty(real, real[:50], held_out) < 1e-6


def test_coarse_only_keeps_the_block_means():
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    image = np.stack([4 * x, 4 * y, 2 * (x + y)], axis=-1).astype("uint8")
    blurred = quality.coarse_only(image[None], level=2).astype("int64")
    assert np.abs(blurred[0, 8:-8, 8:-8] - image[8:-8, 8:-8]).max() <= 2
    noise = rng().integers(0, 256, (1, 32, 32, 3)).astype("uint8")
    assert quality.coarse_only(noise, 3).std() < 0.3 * noise.std()


def test_yardsticks_grow_with_what_is_lost():
    images = rng().integers(0, 256, (40, 8, 8, 3)).astype("uint8")

    def network(x):
        return x.reshape(len(x), -1)[:, :5].astype("float64")

    rows = dict(quality.yardsticks(network, images, network(images), 2))
    assert list(rows) == [
        "one half of the photographs to the other",
        "photographs, coarse band 1 only",
        "photographs, coarse band 2 only",
    ]
    _, first, second = rows.values()
    assert 10 < first < second
