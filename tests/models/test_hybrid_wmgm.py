import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import HybridWMGM
from tests.helpers import wave
from tests.models import tiny


def small(gan_levels=1, **kwargs):
    """Return a hybrid of plain convolutions."""
    gans = [tiny.gan() for _ in range(gan_levels)]
    rest = [tiny.diffusion(3, condition=1) for _ in range(2 - gan_levels)]
    return HybridWMGM(
        (8, 8, 1),
        2,
        gan_levels,
        coarse=tiny.diffusion(),
        details=[*gans, *rest],
        **kwargs,
    )


@pytest.mark.parametrize(
    "gan_levels, kinds, calls",
    [
        (0, [True, True, True], 24),
        (1, [True, False, True], 17),
        (2, [True, False, False], 10),
    ],
)
def test_gans_draw_the_finest_levels(gan_levels, kinds, calls):
    model = HybridWMGM((32, 32, 1), 2, gan_levels)
    factors = model.factors
    assert list(factors) == ["coarse", "detail_1", "detail_2"]
    assert [factor.takes_steps for factor in factors.values()] == kinds
    assert model.network_calls(8) == calls
    assert model.network_calls(1) == 3
    assert model.networks["coarse"].config["normalization"] is None
    for factor in list(factors.values())[1:]:
        assert factor.condition_noise == 0.1
    if gan_levels:
        assert factors["detail_1"].adversarial_loss == "relativistic"
        assert model.networks["critic_1"].config["normalization"] is None


@pytest.mark.parametrize(
    "size, levels, gans",
    [
        ((32, 32), 2, 0),
        ((128, 128), 3, 0),
        ((256, 64), 3, 1),
        ((512, 512), 2, 2),
    ],
)
def test_large_bands_are_a_gans(size, levels, gans):
    model = HybridWMGM((*size, 1), levels)
    kinds = [factor.takes_steps for factor in model.details]
    assert kinds == [False] * gans + [True] * (levels - gans)
    for factor in model.details[gans:]:
        assert factor.network.config["attention_levels"] == ()
        assert factor.network.config["normalization"] is None


@pytest.mark.parametrize(
    "change, text",
    [
        ({"gan_levels": 3}, "at most the number of levels, 2. Received: "),
        ({"gan_levels": -1}, "`gan_levels` must be a whole number"),
        ({"num_levels": 0}, "`num_levels` must be a whole number"),
        ({"image_shape": (32, 32)}, "`image_shape` must have at least 3"),
        ({"image_shape": (30, 32, 1)}, "multiple of 4"),
    ],
)
def test_what_does_not_fit_is_refused(change, text):
    arguments = {"image_shape": (32, 32, 1), "num_levels": 2, "gan_levels": 1}
    with pytest.raises(ValueError, match=text):
        HybridWMGM(**{**arguments, **change})


def test_a_configuration_gives_the_model_back():
    model = small(gan_levels=1, seed=3)
    twin = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model)
    )
    assert type(twin) is HybridWMGM and twin.seed == 3
    assert twin.get_config() == model.get_config()
    twin.set_weights(model.get_weights())
    for made in (model, twin):
        made.adapt(tiny.IMAGES)
    draw = {"num_steps": 2, "seed": 1, "verbose": 0}
    drawn = model.generate(2, **draw)
    np.testing.assert_array_equal(twin.generate(2, **draw), drawn)
    assert drawn.std() > 10


def test_a_preset_draws_the_same(tmp_path):
    model = small(gan_levels=2)
    model.adapt(0.5 * wave((16, 8, 8, 1)))
    model.save_to_preset(tmp_path)
    twin = HybridWMGM.from_preset(tmp_path)
    assert type(twin) is HybridWMGM
    assert type(keras_wmgm.from_preset(tmp_path)) is HybridWMGM
    draw = {"num_steps": 2, "seed": 1, "verbose": 0}
    expected = model.generate(2, **draw)
    np.testing.assert_array_equal(twin.generate(2, **draw), expected)
