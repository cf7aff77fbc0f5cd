"""What is drawn, and what is kept of it."""

import keras
import numpy as np
import pytest

from keras_wmgm import factors
from keras_wmgm.sampling.cache import LIMIT
from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 3, "verbose": 0}


@pytest.fixture
def model():
    made = tiny.mixed()
    made.adapt(tiny.IMAGES)
    return made


def test_inference_models_of_long_ago_are_forgotten(model):
    first = model.inference_model(1)
    for num_steps in range(2, LIMIT + 1):
        model.inference_model(num_steps)
    assert model.inference_model(1) is first
    model.inference_model(LIMIT + 1)
    assert len(model._inference_models.made) == LIMIT
    assert model.inference_model(1) is not first


@pytest.mark.parametrize(
    "name, value", [("t_max", 2.0), ("log_snr_mean", -1.0), ("grid", "uniform")]
)
def test_an_attribute_that_is_set_after_drawing_counts(model, name, value):
    before = model.generate(2, **DRAW)
    setattr(model.coarse, name, value)
    changed = model.generate(2, **DRAW)
    twin = type(model).from_config(model.get_config())
    twin.set_weights(model.get_weights())
    assert getattr(twin.coarse, name) == value
    np.testing.assert_array_equal(twin.generate(2, **DRAW), changed)
    assert np.abs(np.int32(changed) - before).max() > 2


def test_numbers_of_numpy_are_told_apart(model):
    drawn = []
    for value in np.float32([1.0, 1.5, 2.0, 2.5, 3.0]):
        model.coarse.temperature = value
        drawn.append(model.generate(1, **DRAW).tobytes())
    assert len(set(drawn)) == 5


def test_a_network_that_is_exchanged_counts(model):
    before = model.generate(2, **DRAW)
    model.coarse.network = tiny.score(1)
    assert np.abs(np.int32(model.generate(2, **DRAW)) - before).max() > 2


@pytest.mark.parametrize("what", ["generate", "upscale"])
def test_weights_that_are_not_finite_draw_nothing(model, what):
    draw = {
        "generate": lambda: model.generate(1, **DRAW),
        "upscale": lambda: model.upscale(tiny.PIXELS[:1], **DRAW),
    }[what]
    kernel = model.networks["detail_1"].weights[0]
    kernel.assign(np.full(kernel.shape, np.nan, "float32"))
    with pytest.raises(ValueError, match=f"`{what}` needs.*finite.*Received: "):
        draw()


def test_an_image_that_is_not_finite_is_told(model):
    inference = model.inference_model(2)
    drawn = inference.predict_on_batch

    def spoiled(inputs):
        images = np.array(drawn(inputs))
        images[-1] = np.nan
        return images

    inference.predict_on_batch = spoiled
    with pytest.warns(UserWarning, match="not finite.*images 1, 3$"):
        images = model.generate(4, batch_size=2, **DRAW)
    assert np.all(images[[1, 3]] == 0) and images[[0, 2]].std() > 1


def by_three(channels):
    """Return a network that takes heights and widths of 3, 6, 9, ..."""
    condition = keras.Input((None, None, channels), name="condition")
    h = keras.layers.AveragePooling2D(3)(condition)
    h = keras.layers.UpSampling2D(3)(keras.layers.Conv2D(3 * channels, 1)(h))
    network = keras.Model({"condition": condition}, h)
    network.size_multiple = 3
    return network


@pytest.mark.parametrize("scale, size", [(2, (5, 4)), (4, (3, 7))])
def test_any_size_is_upscaled_by_networks_of_any_multiple(scale, size):
    details = [
        factors.AdversarialFactor(by_three(1), tiny.critic(4)) for _ in range(2)
    ]
    model = tiny.model(2, details, size=12)
    model.adapt(np.zeros((2, 12, 12, 1)) - 0.1)
    images = np.linspace(-0.5, 0.5, size[0] * size[1], dtype="float32")
    images = images.reshape(1, *size, 1)
    found = model.upscale(images, scale, seed=0, verbose=0, dtype="float32")
    blocks = (1, size[0], scale, size[1], scale, 1)
    np.testing.assert_allclose(
        found.reshape(blocks).mean(axis=(2, 4)), images, 0, 1e-5
    )


@pytest.mark.parametrize("seed", [2**31 - 1, 2**31, 2**40, 2**63])
def test_seeds_may_be_large(seed):
    model = tiny.compiled(tiny.model(0, seed=seed), "sgd")
    history = model.fit(tiny.IMAGES, batch_size=16, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    first, second = (
        model.generate(1, 2, seed=s, verbose=0) for s in (seed, seed + 1)
    )
    assert np.any(first != second)
    assert type(model).from_config(model.get_config()).seed == seed


def test_large_seeds_differ():
    states = {
        tuple(tiny.copy(tiny.model(0, seed=seed).train_seed.state))
        for seed in (2**31, 2**31 + 1, 2**40, 7)
    }
    assert len(states) == 4
