"""Keras's callbacks and the averages: what is best, saved, and given back."""

import keras
import numpy as np
import pytest

from tests.models import tiny

FIT = {"x": tiny.IMAGES, "batch_size": 4, "verbose": 0}


def optimizer(average):
    ema = {"use_ema": True, "ema_momentum": 0.5} if average else {}
    return keras.optimizers.SGD(0.01, **ema)


def model(average=True):
    return tiny.compiled(tiny.model(0), optimizer(average))


class Record(keras.callbacks.Callback):
    """Keeps the weights after every epoch, and says which was best."""

    def __init__(self, best):
        super().__init__()
        self.best, self.weights = best, []

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = float(abs(epoch - self.best))
        self.weights.append(tiny.weights(self.model))


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("swap", [False, True])
def test_early_stopping_gives_the_best_weights_back(average, swap):
    made, record = model(average), Record(best=1)
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=2, restore_best_weights=True
    )
    callbacks = [record, stop]
    if swap:
        callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    made.fit(epochs=9, callbacks=callbacks, **FIT)
    assert len(record.weights) == 4
    found = tiny.weights(made)
    tiny.assert_equal(found, record.weights[1])
    assert tiny.moved(found, record.weights[2]) == {"coarse"}


def test_the_next_fit_goes_on_from_the_weights_given_back(tmp_path):
    made, record = model(), Record(best=0)
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=1, restore_best_weights=True
    )
    made.fit(epochs=9, callbacks=[record, stop], **FIT)
    best = tiny.weights(made)
    made.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    for model_ in (made, twin):
        model_.use_average(False)
        tiny.assert_equal(tiny.weights(model_), best)


def test_a_checkpoint_of_the_best_epoch_draws_as_that_epoch_did(tmp_path):
    made, record = model(), Record(best=1)
    keep = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", "val_loss", mode="min", save_best_only=True
    )
    made.fit(epochs=4, callbacks=[record, keep], **FIT)
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert best.epochs_trained == 2
    best.use_average(True)
    tiny.assert_equal(tiny.weights(best), record.weights[1])


def test_swaps_of_keras_change_nothing():
    results = []
    for swap in (False, True):
        keras.utils.set_random_seed(5)
        made = model()
        callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=swap)] * swap
        made.fit(epochs=2, callbacks=callbacks, **FIT)
        drawn = tiny.weights(made)
        made.use_average(False)
        results.append((drawn, tiny.weights(made)))
    for plain, swapped in zip(*results, strict=True):
        tiny.assert_equal(swapped, plain, 1e-6)


def test_validation_is_of_the_weights_that_draw():
    made = model()
    made.fit(epochs=1, **FIT)
    history = made.fit(
        initial_epoch=1, epochs=2, validation_data=tiny.IMAGES[:8], **FIT
    ).history
    arguments = {"batch_size": 4, "verbose": 0, "return_dict": True}
    found = made.evaluate(tiny.IMAGES[:8], **arguments)
    for name, value in found.items():
        assert history[f"val_{name}"] == [pytest.approx(value, rel=1e-4)]
    made.use_average(False)
    raw = made.evaluate(tiny.IMAGES[:8], **arguments)
    assert raw["coarse_loss"] != pytest.approx(found["coarse_loss"], rel=1e-6)


def test_rates_are_reduced_on_a_plateau():
    made = model()
    plateau = keras.callbacks.ReduceLROnPlateau(
        "val_loss", mode="min", factor=0.5, patience=1
    )
    made.fit(epochs=3, callbacks=[Record(best=0), plateau], **FIT)
    rates = [float(o.learning_rate) for o in made.optimizer.optimizers]
    np.testing.assert_allclose(rates, 0.01 / 4)


def test_weights_that_are_loaded_are_not_taken_for_set_ones(tmp_path):
    made = model()
    made.fit(epochs=1, **FIT)
    made.save_weights(tmp_path / "first.weights.h5")
    drawn = tiny.weights(made)
    made.use_average(False)
    raw = tiny.weights(made)
    made.fit(initial_epoch=1, epochs=3, **FIT)
    assert made.averaged
    made.load_weights(tmp_path / "first.weights.h5")
    assert made.averaged
    tiny.assert_equal(tiny.weights(made), drawn)
    made.use_average(False)
    tiny.assert_equal(tiny.weights(made), raw)
