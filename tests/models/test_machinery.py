"""Keras's own machinery, around `fit`."""

import csv

import keras
import numpy as np
import pytest

from keras_wmgm import MultiscaleModel
from keras_wmgm.factors import DiffusionFactor
from tests.models import tiny
from tests.models.test_gradients import gradients

IMAGES = tiny.IMAGES
FIT = {"batch_size": 8, "verbose": 0}


def averaging(rate=1e-2):
    return keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.5)


def finite(history):
    return all(np.isfinite(values).all() for values in history.values())


class Draw(keras.callbacks.Callback):
    """Draws while the model is trained."""

    def __init__(self):
        super().__init__()
        self.pictures = []

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.pictures.append(
            self.model.generate(1, num_steps=2, seed=0, verbose=0)
        )


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A model trained for two epochs under many callbacks at once."""
    keras.utils.set_random_seed(12)
    folder = tmp_path_factory.mktemp("followed")
    model = tiny.compiled(tiny.model(), averaging(0.05))
    draw = Draw()
    plain = tiny.compiled(tiny.model(), averaging(0.05))
    plain.set_weights(model.get_weights())
    callbacks = [
        draw,
        keras.callbacks.ModelCheckpoint(
            folder / "{epoch}.weights.h5", save_weights_only=True
        ),
        keras.callbacks.ModelCheckpoint(folder / "{epoch}.keras"),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]
    history = model.fit(IMAGES, epochs=2, callbacks=callbacks, **FIT).history
    expected = plain.fit(IMAGES, epochs=2, **FIT).history
    return model, plain, history, expected, draw.pictures, folder


def test_callbacks_leave_training_as_it_is(followed):
    model, plain, history, expected, _, _ = followed
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, 1e-5, 1e-6)
    tiny.assert_equal(tiny.weights(model), tiny.weights(plain), 1e-5)


def test_a_callback_may_draw_within_an_epoch(followed):
    *_, pictures, _ = followed
    assert len(pictures) == 4
    for before, after in zip(pictures, pictures[1:], strict=False):
        assert np.any(before != after)


def test_a_log_names_what_the_history_does(followed):
    _, _, history, _, _, folder = followed
    with open(folder / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for name, values in history.items():
        logged = [float(row[name]) for row in rows]
        np.testing.assert_allclose(logged, values, 1e-5)


def test_checkpoints_load_back(followed):
    model, *_, folder = followed
    twin = tiny.compiled(tiny.model(), averaging(0.05))
    twin.load_weights(folder / "2.weights.h5")
    assert twin.averaged and twin.epochs_trained == 2
    again = keras.saving.load_model(folder / "2.keras")
    model.use_average(False)
    raw = tiny.weights(model)
    model.use_average(True)
    for loaded in (twin, again):
        tiny.assert_equal(tiny.weights(loaded), tiny.weights(model))
        loaded.use_average(False)
        tiny.assert_equal(tiny.weights(loaded), raw)
    first = keras.saving.load_model(folder / "1.keras")
    assert first.epochs_trained == 1
    assert tiny.moved(tiny.weights(first), raw) == {
        "coarse",
        "detail",
        "critic",
    }


class Stop(Exception):
    pass


class Fail(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise Stop


def test_a_backup_is_restored(followed, tmp_path):
    _, plain, _, expected, _, _ = followed
    keras.utils.set_random_seed(12)
    start = tiny.model()

    def make():
        model = tiny.compiled(tiny.model(), averaging(0.05))
        model.set_weights(start.get_weights())
        return model

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    model = make()
    with pytest.raises(Stop):
        model.fit(IMAGES, epochs=2, callbacks=[backup(), Fail()], **FIT)
    model = make()
    history = model.fit(IMAGES, epochs=2, callbacks=[backup()], **FIT).history
    assert len(history["loss"]) == 1
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values[1:], 1e-5, 1e-6)
    tiny.assert_equal(tiny.weights(model), tiny.weights(plain), 1e-5)


def test_tensorboard_gets_the_losses(tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("tensorflow")
    model = tiny.compiled(tiny.model(0), "sgd", **tiny.EAGERLY)
    board = keras.callbacks.TensorBoard(tmp_path)
    model.fit(IMAGES, callbacks=[board], **FIT)
    (file,) = (tmp_path / "train").glob("events*")
    assert b"coarse_loss" in file.read_bytes()


@pytest.mark.skipif(
    not tiny.learns_in_bfloat16(), reason="no bfloat16 on this processor"
)
def test_mixed_precision_trains_and_draws(mixed_bfloat16):
    model = tiny.compiled(tiny.model(), averaging())
    before = tiny.weights(model)
    history = model.fit(IMAGES, **FIT).history
    assert finite(history)
    after = tiny.weights(model)
    assert {w.dtype.name for ws in after.values() for w in ws} == {"float32"}
    assert tiny.moved(after, before) >= {"coarse", "detail", "critic"}
    pictures = model.generate(2, num_steps=2, dtype="float32", verbose=0)
    assert pictures.dtype == np.float32 and np.isfinite(pictures).all()


def test_mixed_precision_losses_are_near_the_full_ones(mixed_bfloat16):
    half = tiny.compiled(tiny.model(), "sgd", **tiny.EAGERLY)
    keras.config.set_dtype_policy("float32")
    full = tiny.compiled(tiny.model(), "sgd", **tiny.EAGERLY)
    for role, network in full.networks.items():
        network.set_weights(half.networks[role].get_weights())
    results = []
    for model in (half, full):
        model.adapt(IMAGES)
        results.append(model.evaluate(IMAGES, return_dict=True, **FIT))
    assert results[0] != results[1]
    for name, value in results[1].items():
        np.testing.assert_allclose(results[0][name], value, 0.02, 0.02)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16"])
def test_training_in_float16_is_refused(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with pytest.raises(
            ValueError, match="mixed_bfloat16.*Received.*float16"
        ):
            tiny.model(0).compile()
    finally:
        keras.config.set_dtype_policy(before)


def test_training_of_a_float16_network_is_refused():
    inputs = {
        "x": keras.Input((None, None, 1), name="x"),
        "log_snr": keras.Input((), name="log_snr"),
    }
    conv = keras.layers.Conv2D(1, 3, padding="same", dtype="mixed_float16")
    network = keras.Model(inputs, conv(inputs["x"]))
    model = MultiscaleModel((8, 8, 1), 0, DiffusionFactor(network))
    with pytest.raises(ValueError, match="mixed_bfloat16.*Received"):
        model.compile()


def trained(model, start, optimizer, epochs=1, **kwargs):
    """Return the weights after an epoch of four batches."""
    model.set_weights(start)
    tiny.compiled(model, optimizer, **kwargs)
    model.fit(IMAGES, epochs=epochs, batch_size=4, shuffle=False, verbose=0)
    return tiny.weights(model)


@pytest.mark.skipif(tiny.BACKEND == "torch", reason="has no XLA here")
def test_xla_compiles_training():
    model = tiny.model()
    model.adapt(IMAGES)
    start = model.get_weights()
    before = tiny.weights(model)
    found = trained(model, start, "sgd", jit_compile=True)
    assert tiny.moved(found, before) == {"coarse", "detail", "critic"}
    eager = tiny.BACKEND == "tensorflow"
    expected = trained(tiny.model(), start, "sgd", run_eagerly=eager)
    # TensorFlow draws other random numbers under XLA; a step that went wrong
    # would go further.
    tolerance = 1e-4 if tiny.BACKEND == "jax" else 0.1
    for role, values in expected.items():
        for a, e in zip(found[role], values, strict=True):
            np.testing.assert_allclose(a, e, 0, tolerance, err_msg=role)


@pytest.mark.skipif(tiny.BACKEND == "torch", reason="takes one step at a time")
def test_several_steps_in_one_call_are_the_same_steps():
    model = tiny.model()
    model.adapt(IMAGES)
    start = model.get_weights()
    found = trained(model, start, "sgd", steps_per_execution=2)
    expected = trained(tiny.model(), start, "sgd")
    tiny.assert_equal(found, expected, 1e-5)


def test_gradients_are_accumulated_over_steps():
    model = tiny.model(0)
    model.adapt(IMAGES[:8])
    rate, steps = 0.1, 2
    optimizer = keras.optimizers.SGD(rate, gradient_accumulation_steps=steps)
    tiny.compiled(model, optimizer)
    variables = model.trainable_variables
    states = [(v, tiny.copy(v)) for v in tiny.random_states(model)]
    halves = [IMAGES[:4], IMAGES[4:8]]
    found = [
        gradients(
            lambda x=x: model.compute_loss(keras.ops.convert_to_tensor(x)),
            variables,
            [v for v, _ in states],
        )
        for x in halves
    ]
    for v, value in states:
        v.assign(value)
    before = [tiny.copy(v) for v in variables]
    model.fit(IMAGES[:8], batch_size=4, shuffle=False, verbose=0)
    for v, old, *terms in zip(variables, before, *found, strict=True):
        move = tiny.copy(v) - old
        np.testing.assert_allclose(
            move, -rate * np.mean(terms, axis=0), 1e-3, 1e-6, err_msg=v.path
        )
        assert np.any(move)
