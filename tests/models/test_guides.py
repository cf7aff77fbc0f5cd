import keras
import numpy as np
import pytest

import keras_wmgm
from tests.helpers import fill
from tests.models import tiny


def guided(guidance=1.5):
    """Return a model with guides for the coarse band and level 2."""
    detail = tiny.diffusion(
        3, condition=1, guide=tiny.score(3, 1), guidance=guidance
    )
    return keras_wmgm.MultiscaleModel(
        (8, 8, 1),
        2,
        tiny.diffusion(1, guide=tiny.score(1), guidance=guidance),
        [tiny.gan(), detail],
    )


def filled(guidance):
    """Return one that draws, its weights of a closed form."""
    model = guided(guidance)
    model.adapt(tiny.IMAGES)
    for i, network in enumerate(model.networks.values()):
        fill(network, offset=9 * i)
    return model


def test_guides_are_roles_of_their_own():
    model = guided()
    assert set(model.networks) == {
        "coarse",
        "guide_coarse",
        "detail_1",
        "critic_1",
        "detail_2",
        "guide_2",
    }
    assert model.trained_roles("guide") == ("guide_coarse", "guide_2")
    assert model.trained_roles("coarse") == ("coarse",)
    assert model.trained_roles("detail") == ("detail_1", "critic_1", "detail_2")
    assert model.trained_roles() == tuple(model.networks)
    assert model.network_calls(num_steps=8) == 16 + 1 + 16
    with pytest.raises(ValueError, match="must be one of"):
        tiny.model().trained_roles("guide")


@pytest.mark.parametrize(
    "factors, expected",
    [
        ("guide", {"guide_coarse", "guide_2"}),
        ("guide_2", {"guide_2"}),
        ("coarse", {"coarse"}),
        (("coarse", "guide_coarse"), {"coarse", "guide_coarse"}),
        (None, {"coarse", "guide_coarse", "detail_2", "guide_2"}),
    ],
)
def test_what_is_trained_moves_and_nothing_else(factors, expected):
    model = tiny.compiled(guided())
    model.adapt(tiny.IMAGES)
    before = tiny.weights(model)
    history = model.fit(tiny.IMAGES, factors=factors, epochs=1, verbose=0)
    if factors is None:
        expected = expected | {"detail_1", "critic_1"}
    assert tiny.moved(tiny.weights(model), before) == expected
    shown = {name for name in history.history if name.endswith("_loss")}
    assert shown == {f"{role}_loss" for role in expected}
    assert all(np.isfinite(v).all() for v in history.history.values())


def test_a_guide_has_no_part_in_the_networks_gradient():
    """After one step the network is what it is without a guide."""
    results = []
    for guide in ({}, {"guide": fill(tiny.score(1), offset=9)}):
        model = tiny.compiled(
            keras_wmgm.MultiscaleModel((8, 8, 1), 0, tiny.diffusion(**guide))
        )
        fill(model.coarse.network)
        before = tiny.weights(model)["coarse"]
        model.fit(tiny.IMAGES, batch_size=16, epochs=1, verbose=0)
        after = tiny.weights(model)["coarse"]
        results.append([a - b for a, b in zip(after, before, strict=True)])
    for plain, guided_step in zip(*results, strict=True):
        np.testing.assert_allclose(guided_step, plain, 1e-3, 1e-7)
        assert np.abs(plain).max() > 1e-5


def test_an_optimizer_for_guides_is_that_of_all_guides():
    model = tiny.compiled(guided(), {"guide": keras.optimizers.SGD(0.5)})
    by_role = model.optimizer.by_role
    for role, optimizer in by_role.items():
        is_sgd = isinstance(optimizer, keras.optimizers.SGD)
        assert is_sgd == role.startswith("guide")
    by_role = tiny.compiled(guided()).optimizer.by_role
    for role in ("guide_coarse", "guide_2"):
        assert isinstance(by_role[role], keras.optimizers.Adam)
        assert by_role[role].use_ema


def test_temperature_may_be_set_at_any_time():
    model, options = filled(1.5), {"num_steps": 3, "seed": 0, "verbose": 0}
    noise = model.draw_noise(2, seed=0, num_steps=3)
    before = model.generate(2, **options)
    model.coarse.temperature = 1.25
    drawn = model.generate(2, **options)
    model.coarse.temperature = 1.0
    noise["coarse"] = np.float32(1.25) * noise["coarse"]
    found = model.generate(noise=noise, num_steps=3, verbose=0)
    np.testing.assert_array_equal(found, drawn)
    assert np.abs(np.int32(drawn) - before).max() > 8


def test_guidance_may_be_set_at_any_time():
    model, options = filled(1.5), {"num_steps": 3, "seed": 0, "verbose": 0}
    before = model.generate(2, **options)
    for factor in (model.coarse, model.details[1]):
        factor.guidance = 2.0
    drawn = model.generate(2, **options)
    np.testing.assert_array_equal(filled(2.0).generate(2, **options), drawn)
    assert np.abs(np.int32(drawn) - before).max() > 8


def test_a_preset_draws_with_its_guides(tmp_path):
    model = filled(1.5)
    expected = model.generate(3, num_steps=3, seed=1, dtype="float32")
    model.save_to_preset(tmp_path / "preset")
    twin = keras_wmgm.from_preset(tmp_path / "preset")
    found = twin.generate(3, num_steps=3, seed=1, dtype="float32")
    np.testing.assert_allclose(found, expected, 0, 1e-5)
    # Without guidance it draws something else.
    other = filled(1.0).generate(3, num_steps=3, seed=1, dtype="float32")
    assert np.abs(other - expected).max() > 1e-2


def test_a_trained_model_draws_with_what_its_guides_have_learned():
    model = tiny.compiled(guided())
    model.fit(tiny.IMAGES, factors="coarse", epochs=1, verbose=0)
    before = model.generate(2, num_steps=3, seed=1, dtype="float32")
    model.fit(tiny.IMAGES, factors="guide", epochs=3, verbose=0)
    after = model.generate(2, num_steps=3, seed=1, dtype="float32")
    assert np.abs(after - before).max() > 1e-5
