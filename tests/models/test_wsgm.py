import json

import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import WSGM
from keras_wmgm.factors import DiffusionFactor
from tests.helpers import wave
from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 1, "verbose": 0}


def small(**kwargs):
    """Return a model of plain convolutions."""
    return WSGM(
        (8, 8, 1),
        2,
        coarse=tiny.diffusion(),
        details=[tiny.diffusion(3, condition=1) for _ in range(2)],
        **kwargs,
    )


@pytest.mark.parametrize("levels, channels", [(1, 1), (2, 3), (3, 1)])
def test_every_band_is_drawn_by_diffusion(levels, channels):
    model = WSGM((32, 16, channels), levels)
    names = ["coarse", *(f"detail_{k}" for k in range(1, levels + 1))]
    assert list(model.factors) == list(model.networks) == names
    assert all(type(f) is DiffusionFactor for f in model.factors.values())
    assert model.network_calls(8) == 8 * (levels + 1)
    assert model.network_calls((9, *range(1, levels + 1))) == 9 + sum(
        range(1, levels + 1)
    )
    coarse = model.coarse.network.config
    assert coarse["attention_levels"] == (1,)
    assert coarse["normalization"] is None
    assert model.coarse.condition_noise == 0
    for factor in model.details:
        assert (factor.condition_noise, factor.grid) == (0.1, "karras")
        assert factor.network.config["attention_levels"] == ()
        assert factor.network.config["normalization"] is None
        assert factor.network.input["condition"].shape[-1] == channels
        assert factor.network.output.shape[-1] == 3 * channels


def test_the_documented_size_is_the_default():
    model = WSGM()
    assert (model.image_shape, model.num_levels) == ((64, 64, 3), 3)
    assert model.seed == 0 and not model.shares_details
    assert model.network_calls(num_steps=8) == 32


def test_factors_may_be_given():
    shared = tiny.diffusion(3, condition=1)
    model = WSGM((8, 8, 1), 2, details=shared)
    assert model.shares_details and model.details == [shared, shared]
    assert list(model.factors) == ["coarse", "detail"]
    coarse = tiny.diffusion()
    assert WSGM((8, 8, 1), 1, coarse).coarse is coarse
    assert WSGM((8, 8, 1), 1, details=tiny.gan()).network_calls(8) == 9


@pytest.mark.parametrize(
    "change, text",
    [
        ({"num_levels": 0}, "`num_levels` must be a whole number"),
        ({"num_levels": 1.5}, "`num_levels` must be a whole number"),
        ({"image_shape": (32, 32)}, "`image_shape` must have at least 3"),
        ({"image_shape": (30, 32, 1)}, "multiple of 4"),
        ({"details": []}, "`details` must be one factor.*list of 2"),
        ({"details": tiny.diffusion()}, "must have 1 channels in its"),
        ({"coarse": "diffusion"}, "`coarse` must be a `keras_wmgm.factors"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_what_does_not_fit_is_refused(change, text):
    arguments = {"image_shape": (32, 32, 1), "num_levels": 2}
    with pytest.raises(ValueError, match=text):
        WSGM(**{**arguments, **change})


def test_a_configuration_gives_the_model_back():
    model = small(seed=3)
    twin = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model)
    )
    assert type(twin) is WSGM and twin.seed == 3
    assert twin.get_config() == model.get_config()
    twin.set_weights(model.get_weights())
    for made in (model, twin):
        made.adapt(tiny.IMAGES)
    drawn = model.generate(2, **DRAW)
    np.testing.assert_array_equal(twin.generate(2, **DRAW), drawn)
    assert drawn.std() > 10


@pytest.fixture
def saved(tmp_path):
    """A model, and the folder of its preset."""
    model = small()
    model.adapt(0.5 * wave((16, 8, 8, 1)))
    model.save_to_preset(tmp_path / "preset")
    return model, tmp_path / "preset"


def test_a_preset_draws_the_same(saved):
    model, folder = saved
    twin = WSGM.from_preset(folder)
    assert type(twin) is type(keras_wmgm.from_preset(folder)) is WSGM
    expected = model.generate(2, **DRAW)
    np.testing.assert_array_equal(twin.generate(2, **DRAW), expected)
    with pytest.raises(ValueError, match="is a `WSGM`: load it with"):
        keras_wmgm.WMGM.from_preset(folder)


# The name of the class in the first version


def rename(folder):
    """Make a preset one of the first version."""
    old = {
        "module": "keras_wmgm.models.hybrid_wmgm",
        "class_name": "HybridWMGM",
        "registered_name": "keras_wmgm>HybridWMGM",
    }
    for name, change in (
        ("config.json", old),
        ("metadata.json", {"class": "HybridWMGM"}),
    ):
        content = json.loads((folder / name).read_text())
        assert set(change) <= set(content)
        (folder / name).write_text(json.dumps({**content, **change}))


def check_same(twin, model):
    assert type(twin) is WSGM
    tiny.assert_equal(tiny.weights(twin), tiny.weights(model))
    np.testing.assert_array_equal(
        twin.generate(2, **DRAW), model.generate(2, **DRAW)
    )


@pytest.mark.parametrize("load", [keras_wmgm.from_preset, WSGM.from_preset])
def test_a_preset_of_the_first_version_opens_with_a_warning(saved, load):
    model, folder = saved
    rename(folder)
    with pytest.warns(UserWarning, match="`HybridWMGM`.*`WSGM`.*Received: "):
        twin = load(folder)
    check_same(twin, model)


def test_keras_opens_a_preset_of_the_first_version(saved):
    model, folder = saved
    rename(folder)
    check_same(keras.saving.load_model(folder), model)


def test_a_preset_of_the_first_version_is_saved_as_one_of_this(
    saved, tmp_path, recwarn
):
    model, folder = saved
    rename(folder)
    with pytest.warns(UserWarning):
        twin = keras_wmgm.from_preset(folder)
    twin.save_to_preset(tmp_path / "new")
    recwarn.clear()
    check_same(keras_wmgm.from_preset(tmp_path / "new"), model)
    assert not [w for w in recwarn if "HybridWMGM" in str(w.message)]
