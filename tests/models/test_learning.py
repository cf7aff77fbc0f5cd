"""Who is trained by `fit`, by which optimizer, and what is reported."""

import keras
import numpy as np
import pytest

from keras_wmgm.layers import ResidualBlock
from tests.models import tiny
from tests.models.test_gradients import gradients

IMAGES = tiny.IMAGES
TOLERANCE = 1e-6
"""A backend may add in another order from run to run."""

FIT = {"batch_size": 8, "verbose": 0}


def sgd(**rates):
    return {
        role: keras.optimizers.SGD(rate, name=role)
        for role, rate in rates.items()
    }


def adamw(rate=1e-2):
    """Return optimizers with all that could move a network by itself."""
    ema = {"use_ema": True, "ema_momentum": 0.5}
    return {
        "coarse": keras.optimizers.AdamW(rate, name="coarse", **ema),
        "detail": keras.optimizers.AdamW(rate, name="detail", **ema),
        "critic": keras.optimizers.AdamW(rate, name="critic"),
    }


# Which optimizer moves what


def test_every_variable_is_moved_by_the_optimizer_of_its_role():
    model = tiny.model()
    model.adapt(IMAGES[:8])
    rates = {"coarse": 0.1, "detail": 0.02, "critic": 0.003}
    tiny.compiled(model, sgd(**rates))
    variables = model.trainable_variables
    states = [(v, tiny.copy(v)) for v in tiny.random_states(model)]
    expected = gradients(
        lambda: model.compute_loss(keras.ops.convert_to_tensor(IMAGES[:8])),
        variables,
    )
    expected = {id(v): g for v, g in zip(variables, expected, strict=True)}
    for variable, value in states:
        variable.assign(value)
    before = {id(v): tiny.copy(v) for v in variables}
    model.fit(IMAGES[:8], shuffle=False, **FIT)
    for role, network in model.networks.items():
        for v in network.trainable_variables:
            move = tiny.copy(v) - before[id(v)]
            want = -rates[role] * expected[id(v)]
            np.testing.assert_allclose(move, want, 1e-3, 1e-6, err_msg=v.path)
            # A bias of the critic cancels in a difference of its scores.
            assert np.any(move) or (role, v.name) == ("critic", "bias")


def test_a_role_at_rate_zero_stays_where_it_is():
    model = tiny.model()
    tiny.compiled(model, sgd(coarse=0.1, detail=0.0, critic=0.1))
    before = tiny.weights(model)
    model.fit(IMAGES, **FIT)
    before["pyramid"] = tiny.weights(model)["pyramid"]
    assert tiny.moved(tiny.weights(model), before) == {"coarse", "critic"}


def test_one_optimizer_gives_each_role_its_own_copy():
    model = tiny.model()
    given = keras.optimizers.Adam(0.1, beta_1=0.7)
    model.compile(given)
    made = model.optimizer.optimizers
    assert len({id(o) for o in made} | {id(given)}) == 4
    for optimizer in made:
        assert type(optimizer) is type(given)
        assert optimizer.get_config() == given.get_config()
        assert float(keras.ops.convert_to_numpy(optimizer.iterations)) == 0
    assert not given.built


@pytest.mark.parametrize("optimizer", ["sgd", {"class_name": "SGD"}])
def test_optimizers_may_be_named_or_described(optimizer):
    if isinstance(optimizer, dict):
        optimizer = keras.optimizers.serialize(keras.optimizers.SGD(0.5))
    model = tiny.model()
    model.compile(optimizer)
    for made in model.optimizer.optimizers:
        assert isinstance(made, keras.optimizers.SGD)


def test_default_optimizers_are_those_that_did_well():
    model = tiny.mixed()
    model.compile()
    found = {}
    for role, network in model.networks.items():
        variable = network.trainable_variables[0]
        optimizer = next(
            o
            for o in model.optimizer.optimizers
            if any(v is variable for v in o._trainable_variables)
        )
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        name = type(optimizer).__name__
        found[role] = (name, round(rate, 8), optimizer.use_ema)
    assert found == {
        "coarse": ("ConvMuon", 4e-3, True),
        "detail_1": ("Adam", 2e-4, True),
        "critic_1": ("Adam", 2e-4, False),
        "detail_2": ("ConvMuon", 4e-3, True),
    }


def test_a_role_of_one_level_goes_before_its_kind():
    model = tiny.mixed()
    optimizer = sgd(detail=0.1) | {"detail_2": keras.optimizers.Lion(0.2)}
    model.compile(optimizer)
    names = {r: type(o).__name__ for r, o in model.optimizer.by_role.items()}
    assert names == {
        "coarse": "ConvMuon",
        "detail_1": "SGD",
        "critic_1": "Adam",
        "detail_2": "Lion",
    }


# One factor alone


def fit(model, factors=None, **kwargs):
    return model.fit(IMAGES, factors=factors, **FIT, **kwargs)


def states(model):
    """Return what training one factor must leave alone: raw and averaged
    weights, and moments."""
    averaged = tiny.weights(model)
    model.use_average(False)
    raw = tiny.weights(model)
    found = tiny.moments(model)
    model.use_average(True)
    return {"averaged": averaged, "raw": raw, "moments": found}


@pytest.fixture(scope="module")
def jointly_trained(tmp_path_factory):
    """A model after a joint fit with AdamW and averages, as a file."""
    keras.utils.set_random_seed(1)
    model = tiny.compiled(tiny.model(), adamw())
    fit(model)
    path = tmp_path_factory.mktemp("joint") / "model.keras"
    model.save(path)
    return path


@pytest.mark.parametrize(
    "order", [("coarse", "detail"), ("detail", "coarse")], ids="-".join
)
def test_training_one_factor_leaves_the_others_to_the_bit(
    jointly_trained, order
):
    model = keras.saving.load_model(jointly_trained)
    roles = {"coarse": {"coarse"}, "detail": {"detail", "critic"}}
    for name in order:
        before = states(model)
        history = fit(model, (name,)).history
        after = states(model)
        for kind, values in before.items():
            assert tiny.moved(after[kind], values) == roles[name], kind
        losses = {key for key in history if key.endswith("_loss")}
        assert losses == {f"{role}_loss" for role in roles[name]}
        ratio = "std_ratio_coarse" if name == "coarse" else "std_ratio_1"
        assert {k for k in history if k.startswith("std_")} == {ratio}
    before = states(model)
    fit(model)
    after = states(model)
    for kind, values in before.items():
        assert tiny.moved(after[kind], values) == {"coarse", "detail", "critic"}


def test_a_factor_is_trained_alone_as_it_would_be_by_itself():
    # The coarse factor draws first, so its numbers are the same.
    models = [tiny.model() for _ in range(2)]
    for m in models:
        m.adapt(IMAGES)
        for role, network in m.networks.items():
            network.set_weights(models[0].networks[role].get_weights())
        tiny.compiled(m, sgd(coarse=0.1, detail=0.1, critic=0.1))
    fit(models[0], shuffle=False, epochs=1, steps_per_epoch=1)
    fit(models[1], "coarse", shuffle=False, epochs=1, steps_per_epoch=1)
    joint, alone = (tiny.weights(m)["coarse"] for m in models)
    for a, e in zip(alone, joint, strict=True):
        np.testing.assert_allclose(a, e, 1e-5, 1e-6)


def test_detail_stands_for_the_details_of_all_levels():
    model = tiny.mixed()
    tiny.compiled(model, "sgd")
    model.adapt(IMAGES)
    before = tiny.weights(model)
    fit(model, "detail")
    moved = tiny.moved(tiny.weights(model), before)
    assert moved == {"detail_1", "critic_1", "detail_2"}
    before = tiny.weights(model)
    fit(model, ("detail_2",))
    assert tiny.moved(tiny.weights(model), before) == {"detail_2"}


def test_a_role_may_be_trained_alone():
    model = tiny.compiled(tiny.model(), "sgd")
    model.adapt(IMAGES)
    before = tiny.weights(model)
    history = fit(model, "critic").history
    assert tiny.moved(tiny.weights(model), before) == {"critic"}
    assert "critic_loss" in history and "coarse_loss" not in history


def flags(model):
    """Return which variables of each network can be trained."""
    return {
        role: {v.path: v.trainable for v in network.weights}
        for role, network in model.networks.items()
    }


@pytest.mark.parametrize("depth", [0, 1], ids=["layer", "layer in a block"])
def test_layers_that_were_frozen_stay_frozen_after_fitting_a_factor(depth):
    model = tiny.small_wmgm(1, size=8, channels=1)
    model.adapt(IMAGES)
    layer = next(
        layer
        for layer in model.networks["detail"].layers
        if isinstance(layer, ResidualBlock)
    )
    if depth:
        layer = layer._layers[0]
    layer.trainable = False
    model.compile("sgd", **tiny.EAGERLY)
    before, values = flags(model), tiny.weights(model)
    assert not all(before["detail"].values())
    fit(model, "coarse", steps_per_epoch=1)
    assert flags(model) == before
    assert tiny.moved(tiny.weights(model), values) == {"coarse"}


# What is reported


def test_history_names_every_loss_and_the_ratio_of_every_level():
    model = tiny.compiled(tiny.mixed())
    history = fit(model, epochs=2, validation_data=IMAGES[:8]).history
    named = {
        "loss",
        "coarse_loss",
        "detail_1_loss",
        "critic_1_loss",
        "detail_2_loss",
        "std_ratio_coarse",
        "std_ratio_1",
        "std_ratio_2",
        "spread_1",
    }
    assert set(history) == named | {f"val_{name}" for name in named}
    for name, values in history.items():
        assert len(values) == 2 and np.isfinite(values).all(), name
    terms = [history[name] for name in named if name.endswith("_loss")]
    np.testing.assert_allclose(history["loss"], np.sum(terms, axis=0), 1e-4)


def test_a_rate_that_was_changed_is_saved_with_the_rest(tmp_path):
    """Else the file's variables would not fit, and all moments be lost."""
    model = tiny.compiled(tiny.model(0), keras.optimizers.Adam(0.01))
    fit(model)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    model.optimizer.by_role["coarse"].learning_rate = schedule
    fit(model)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    tiny.assert_equal(tiny.moments(twin), tiny.moments(model))
    rates = [
        float(m.optimizer.by_role["coarse"].learning_rate)
        for m in (model, twin)
    ]
    assert rates[0] == rates[1] < 0.01


def test_evaluating_twice_gives_the_same_and_leaves_training_alone():
    model = tiny.compiled(tiny.model())
    fit(model)
    evaluated = {"batch_size": 8, "verbose": 0, "return_dict": True}
    # The second state is that of `evaluate` itself.
    states = [tiny.copy(v) for v in tiny.random_states(model)]
    before = tiny.weights(model)
    first = model.evaluate(IMAGES, **evaluated)
    changed = [
        np.any(tiny.copy(v) != state)
        for v, state in zip(tiny.random_states(model), states, strict=True)
    ]
    assert sum(changed) == 1
    second = model.evaluate(IMAGES, **evaluated)
    assert first == pytest.approx(second, rel=1e-5)
    assert {"detail_loss", "critic_loss", "std_ratio_1"} < set(first)
    tiny.assert_equal(tiny.weights(model), before)
    other = model.evaluate(IMAGES[:8], **evaluated)
    assert other["coarse_loss"] != first["coarse_loss"]


def test_evaluating_does_not_change_what_training_does_next():
    histories = []
    for evaluating in (False, True):
        keras.utils.set_random_seed(3)
        model = tiny.compiled(tiny.model(), "sgd")
        fit(model)
        if evaluating:
            model.evaluate(IMAGES, **FIT)
        history = fit(model).history
        histories.append({name: values[0] for name, values in history.items()})
    # Not to the last bit: threads add in an order of their own.
    assert histories[1] == pytest.approx(histories[0], rel=1e-5)


# Averages of the weights


class Record(keras.callbacks.Callback):
    """Keeps the weights after every batch."""

    def __init__(self, role):
        super().__init__()
        self.role, self.values = role, []

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.values.append(tiny.weights(self.model)[self.role])


@pytest.fixture(scope="module")
def averaged():
    """A model after four steps, and its weights after each."""
    keras.utils.set_random_seed(2)
    model = tiny.compiled(tiny.model(), adamw())
    model.adapt(IMAGES)
    start = tiny.weights(model)
    record = Record("coarse")
    fit(model, epochs=2, callbacks=[record])
    return model, start, record.values


def test_after_fit_the_networks_hold_the_average_of_their_weights(averaged):
    model, _, values = averaged
    assert model.averaged and len(values) == 4
    for i, weight in enumerate(model.networks["coarse"].weights):
        average = values[0][i]
        for t, step in enumerate(values[1:], start=1):
            momentum = min(0.5, (1 + t) / (10 + t))  # it grows to its value
            average = momentum * average + (1 - momentum) * step[i]
        np.testing.assert_allclose(tiny.copy(weight), average, 1e-5, 1e-6)


def test_raw_weights_and_averages_change_places(averaged):
    model, _, values = averaged
    drawn = tiny.weights(model)
    model.use_average(False)
    assert not model.averaged
    raw = tiny.weights(model)
    tiny.assert_equal({"coarse": raw["coarse"]}, {"coarse": values[-1]})
    assert tiny.moved(raw, drawn) == {"coarse", "detail"}
    model.use_average(False)
    tiny.assert_equal(tiny.weights(model), raw)
    model.use_average(True)
    tiny.assert_equal(tiny.weights(model), drawn)


def test_without_averages_nothing_changes_places():
    model = tiny.compiled(tiny.model(), "sgd")
    fit(model)
    before = tiny.weights(model)
    model.use_average(False)
    tiny.assert_equal(tiny.weights(model), before)


def test_a_second_fit_goes_on_from_the_raw_weights(averaged):
    model, start, _ = averaged
    keras.utils.set_random_seed(2)
    twin = tiny.compiled(tiny.model(), adamw())
    twin.adapt(IMAGES)
    tiny.assert_equal(tiny.weights(twin), start)
    first = fit(twin, epochs=1).history
    second = fit(twin, initial_epoch=1, epochs=2).history
    assert twin.epochs_trained == 2
    tiny.assert_equal(tiny.weights(twin), tiny.weights(model), TOLERANCE)
    tiny.assert_equal(tiny.moments(twin), tiny.moments(model), TOLERANCE)
    assert first["coarse_loss"] != second["coarse_loss"]


def test_weights_that_were_set_are_the_new_raw_ones(averaged):
    model, _, _ = averaged
    coarse, detail = (model.networks[role] for role in ("coarse", "detail"))
    model.use_average(True)
    shown = [tiny.copy(w) for w in coarse.weights]
    drawn = tiny.weights(model)["detail"]
    coarse.set_weights([w + 1 for w in shown])
    model.use_average(False)
    for raw, old in zip(coarse.weights, shown, strict=True):
        np.testing.assert_array_equal(tiny.copy(raw), old + 1)
    model.use_average(True)
    for average, old in zip(coarse.weights, shown, strict=True):
        np.testing.assert_array_equal(tiny.copy(average), old + 1)
    tiny.assert_equal({"": [tiny.copy(w) for w in detail.weights]}, {"": drawn})
