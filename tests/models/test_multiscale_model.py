"""The parts of a model, and how it is written down."""

import json

import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import MultiscaleModel
from keras_wmgm import factors
from tests.helpers import to_numpy
from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 3, "verbose": 0}


def per_level():
    return tiny.model(2, [tiny.gan(), tiny.gan()])


MODELS = {
    "shared": (lambda: tiny.model(2), ["coarse", "detail", "critic"]),
    "per level": (
        per_level,
        ["coarse", "detail_1", "critic_1", "detail_2", "critic_2"],
    ),
    "mixed": (tiny.mixed, ["coarse", "detail_1", "critic_1", "detail_2"]),
    "pixels": (lambda: tiny.model(0), ["coarse"]),
}


@pytest.mark.parametrize("kind", MODELS)
def test_networks_are_named_by_their_role(kind):
    make, roles = MODELS[kind]
    model = make()
    assert list(model.networks) == roles
    names = [role for role in roles if not role.startswith("critic")]
    assert list(model.factors) == names
    for name, factor in model.factors.items():
        assert model.networks[name] is factor.networks["draw"]
        critic = name.replace("detail", "critic")
        if critic in roles and critic != name:
            assert model.networks[critic] is factor.networks["critic"]


@pytest.mark.parametrize("kind", MODELS)
def test_every_weight_belongs_to_a_network_or_to_the_pyramid(kind):
    model = MODELS[kind][0]()
    parts = [*model.networks.values(), model.pyramid]
    owned = [id(w) for part in parts for w in part.weights]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(w) for w in model.weights}
    trained = sum(len(n.trainable_weights) for n in model.networks.values())
    assert len(model.trainable_weights) == trained
    assert model.count_params() == sum(part.count_params() for part in parts)


def test_details_are_told_by_level():
    shared, mixed = tiny.model(2), tiny.mixed()
    assert shared.shares_details and not mixed.shares_details
    assert shared.details == [shared.factors["detail"]] * 2
    assert mixed.details == [mixed.factors[f"detail_{k}"] for k in (1, 2)]
    assert tiny.model(0).details == []


def test_calling_a_model_gives_the_whitened_bands():
    model = tiny.mixed()
    model.adapt(tiny.IMAGES)
    found = keras.tree.flatten(model(tiny.PIXELS))
    pixels = tiny.PIXELS.astype("float32") / 127.5 - 1
    expected = keras.tree.flatten(model.pyramid.analyze(pixels))
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(e), 0, 1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_a_configuration_makes_the_same_model(kind):
    make, roles = MODELS[kind]
    model = make()
    saved = json.dumps(keras.saving.serialize_keras_object(model))
    twin = keras.saving.deserialize_keras_object(json.loads(saved))
    assert list(twin.networks) == roles
    again = json.dumps(keras.saving.serialize_keras_object(twin))
    assert json.loads(again)["config"] == json.loads(saved)["config"]
    for role, network in model.networks.items():
        twin.networks[role].set_weights(network.get_weights())
    for m in (model, twin):
        m.adapt(tiny.IMAGES)
    np.testing.assert_array_equal(
        model.generate(2, **DRAW), twin.generate(2, **DRAW)
    )


def test_the_configuration_holds_every_argument():
    model = tiny.model(1, tiny.gan(mse_weight=2.0), seed=5, name="mine")
    twin = MultiscaleModel.from_config(model.get_config())
    assert (twin.name, twin.seed, twin.num_levels) == ("mine", 5, 1)
    assert twin.image_shape == (8, 8, 1)
    assert twin.factors["detail"].mse_weight == 2.0


def test_a_configuration_can_be_read_twice():
    config = keras.saving.serialize_keras_object(tiny.mixed())
    before = json.dumps(config)
    first = keras.saving.deserialize_keras_object(json.loads(before))
    first.compile()
    again = keras.saving.serialize_keras_object(first)["config"]
    assert json.dumps(again) == json.dumps(json.loads(before)["config"])


@pytest.mark.parametrize("kind", ["shared", "mixed"])
def test_a_saved_model_draws_the_same_pictures(kind, tmp_path):
    model = MODELS[kind][0]()
    model.adapt(tiny.IMAGES)
    path = tmp_path / "model.keras"
    model.save(path)
    twin = keras.saving.load_model(path)
    assert twin.adapted and not twin.compiled
    np.testing.assert_array_equal(
        model.generate(2, **DRAW), twin.generate(2, **DRAW)
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        None,
        "sgd",
        keras.optimizers.AdamW(0.2, weight_decay=0.3),
        {"coarse": keras.optimizers.Lion(0.1), "critic": "sgd"},
        {"detail": keras.optimizers.SGD(0.2, momentum=0.5, use_ema=True)},
    ],
    ids=["default", "name", "one", "by role", "averaged"],
)
def test_how_a_model_is_compiled_comes_back(optimizer):
    model = tiny.compiled(tiny.model(), optimizer, run_eagerly=True)
    config = json.loads(json.dumps(model.get_compile_config()))
    twin = tiny.model()
    twin.compile_from_config(config)
    assert twin.run_eagerly and twin.compiled

    def described(model):
        made = []
        for optimizer in model.optimizer.optimizers:
            config = optimizer.get_config()
            config.pop("name")
            made.append((type(optimizer), config))
        return made

    assert described(twin) == described(model)
    assert twin.get_compile_config() == model.get_compile_config()
    assert tiny.model().get_compile_config() is None


def test_weights_of_one_factor_load_into_another_model(tmp_path):
    model, other = tiny.model(), tiny.model(1, tiny.diffusion(3, condition=1))
    path = tmp_path / "coarse.weights.h5"
    model.networks["coarse"].save_weights(path)
    before = tiny.weights(other)
    other.networks["coarse"].load_weights(path)
    after = tiny.weights(other)
    assert tiny.moved(after, before) == {"coarse"}
    tiny.assert_equal(
        {"coarse": after["coarse"]},
        {"coarse": tiny.weights(model)["coarse"]},
    )


def test_a_summary_names_the_parts():
    lines = []
    tiny.mixed().summary(print_fn=lambda line, **kwargs: lines.append(line))
    text = "\n".join(lines)
    assert "WaveletPyramid" in text and "AdversarialFactor" in text
    count = f"{tiny.mixed().count_params():,}"
    assert count in text


def test_channels_may_be_one_or_four():
    for channels in (1, 4):
        model = tiny.model(1, channels=channels)
        images = -0.5 * np.ones((4, 8, 8, channels), "float32")
        model.adapt(images)
        assert model.generate(1, **DRAW).shape == (1, 8, 8, channels)


def test_images_may_be_oblong():
    model = MultiscaleModel((8, 16, 1), 2, tiny.diffusion(), tiny.gan())
    model.adapt(-0.5 * np.ones((4, 8, 16, 1), "float32"))
    assert model.generate(2, **DRAW).shape == (2, 8, 16, 1)


def test_the_short_configuration_is_the_papers_kind_of_model():
    model = keras_wmgm.WMGM(
        (16, 16, 1),
        num_levels=2,
        coarse=tiny.diffusion(),
        details=tiny.gan(),
    )
    assert list(model.networks) == ["coarse", "detail", "critic"]
    assert isinstance(model, MultiscaleModel)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_default_networks_fit_the_images(channels):
    # The scope spares us the initial values.
    with keras.StatelessScope(initialize_variables=False):
        model = keras_wmgm.WMGM((32, 32, channels), num_levels=3)
    assert isinstance(model.coarse, factors.DiffusionFactor)
    assert isinstance(model.factors["detail"], factors.AdversarialFactor)
    assert model.network_calls(8) == 11
    generator, critic = model.networks["detail"], model.networks["critic"]
    assert generator.output.shape[-1] == 3 * channels
    assert critic.input["x"].shape[-1] == 4 * channels
    assert generator.config["num_scales"] == 3
