"""Compiling a model that has learned."""

import keras
import numpy as np
import pytest

from tests.models import tiny

FIT = {"x": tiny.IMAGES, "batch_size": 8, "verbose": 0}
DRAW = {"num_steps": 2, "seed": 3, "verbose": 0, "dtype": "float32"}


def adam(rate=1e-2, **kwargs):
    return keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.5, **kwargs)


def learned():
    """Return a model that has raw and averaged weights, and moments."""
    model = tiny.compiled(tiny.model(), adam())
    model.fit(epochs=2, **FIT)
    return model


def raw_and_averaged(model):
    averaged = tiny.weights(model)
    model.use_average(False)
    raw = tiny.weights(model)
    model.use_average(True)
    assert tiny.moved(raw, averaged) == {"coarse", "detail", "critic"}
    return raw, averaged


def test_nothing_is_lost_when_nothing_is_given():
    model = learned()
    raw, averaged = raw_and_averaged(model)
    moments = tiny.moments(model)
    model.compile()
    assert model.averaged
    tiny.assert_equal(tiny.moments(model), moments)
    found = raw_and_averaged(model)
    tiny.assert_equal(found[0], raw)
    tiny.assert_equal(found[1], averaged)


def test_training_goes_on_as_if_it_had_not_been_compiled_again(tmp_path):
    learned().save(tmp_path / "model.keras")
    models = [keras.saving.load_model(tmp_path / "model.keras") for _ in "ab"]
    models[1].compile()
    histories = [model.fit(**FIT).history for model in models]
    assert histories[1]["loss"] == pytest.approx(histories[0]["loss"], 1e-5)
    tiny.assert_equal(*map(tiny.weights, models), 1e-5)


def test_a_new_optimizer_goes_on_from_the_raw_weights():
    model = learned()
    raw, averaged = raw_and_averaged(model)
    expected = model.generate(2, **DRAW)
    model.compile(adam(1e-3))
    np.testing.assert_array_equal(model.generate(2, **DRAW), expected)
    found = raw_and_averaged(model)
    tiny.assert_equal(found[0], raw)
    tiny.assert_equal(found[1], averaged)
    optimizer = model.optimizer.by_role["coarse"]
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 0


def test_an_optimizer_without_averages_goes_on_from_what_draws():
    model = learned()
    averaged = tiny.weights(model)
    model.compile("sgd")
    assert not model.averaged
    tiny.assert_equal(tiny.weights(model), averaged)
    model.use_average(False)
    tiny.assert_equal(tiny.weights(model), averaged)


def test_only_the_role_that_is_given_begins_anew():
    model = learned()
    before = dict(model.optimizer.by_role)
    model.compile({"critic": keras.optimizers.SGD(0.1)})
    after = model.optimizer.by_role
    assert after["coarse"] is before["coarse"]
    assert after["detail"] is before["detail"]
    assert isinstance(after["critic"], keras.optimizers.SGD)


def by_variable(model):
    """Return each optimizer's moments by the variable they belong to."""
    return {
        id(variable): tiny.copy(moment)
        for optimizer in model.optimizer.by_role.values()
        for variable, moment in zip(
            optimizer._trainable_variables, optimizer._momentums, strict=True
        )
    }


def test_what_is_frozen_stays_and_the_others_keep_their_moments():
    model = learned()
    expected = model.generate(2, **DRAW)
    moments = by_variable(model)
    model.networks["coarse"].layers[-1].trainable = False
    model.compile()
    np.testing.assert_array_equal(model.generate(2, **DRAW), expected)
    kept = by_variable(model)
    assert len(kept) == len(moments) - 2
    for key, value in kept.items():
        np.testing.assert_array_equal(value, moments[key])
    before = tiny.weights(model)
    model.fit(**FIT)
    after = tiny.weights(model)
    tiny.assert_equal({"": after["coarse"][-2:]}, {"": before["coarse"][-2:]})
    assert tiny.moved(after, before) == {"coarse", "detail", "critic"}


def test_what_is_thawed_later_joins_those_that_have_moments():
    model = tiny.model()
    frozen = model.networks["coarse"].layers[-1]
    frozen.trainable = False
    tiny.compiled(model, adam())
    model.fit(**FIT)
    moments = by_variable(model)
    frozen.trainable = True
    model.compile()
    found = by_variable(model)
    assert len(found) == len(moments) + 2
    for key, value in moments.items():
        np.testing.assert_array_equal(found[key], value)
    before = tiny.weights(model)["coarse"][-1]
    assert np.isfinite(model.fit(**FIT).history["loss"]).all()
    assert np.any(tiny.weights(model)["coarse"][-1] != before)


@pytest.mark.parametrize("name", ["loss", "metrics"])
def test_losses_are_the_factors_own(name):
    with pytest.raises(TypeError, match=f"no `{name}`.*own loss.*Received: "):
        tiny.model().compile(**{name: "mse"})


def test_a_model_without_averages_says_so():
    model = tiny.compiled(tiny.model(), "sgd")
    model.fit(**FIT)
    assert not model.averaged
    model.use_average(True)
    assert not model.averaged
