"""Errors and Ctrl-C: the model is whole afterwards."""

import signal

import keras
import numpy as np
import pytest

from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 3, "verbose": 0}
FIT = {"x": tiny.IMAGES, "batch_size": 4, "verbose": 0}


class Lost(Exception):
    pass


def failing(function, error):
    """Return a compiled function whose outcome is lost to an error."""

    def call(*args):
        function(*args)  # on JAX it takes the model's arrays
        raise error

    return call


@pytest.fixture
def model():
    made = tiny.compiled(tiny.model(), "adam")
    made.adapt(tiny.IMAGES)
    return made


@pytest.mark.parametrize("error", [KeyboardInterrupt, Lost])
@pytest.mark.parametrize("what", ["generate", "upscale"])
def test_drawing_that_fails_leaves_the_weights(model, what, error):
    draw = {
        "generate": lambda: model.generate(2, **DRAW),
        "upscale": lambda: model.upscale(tiny.PIXELS[:2], **DRAW),
    }[what]
    before, expected = tiny.weights(model), draw()
    ((inference, _),) = model._inference_models.made.values()
    drawn = inference.predict_function
    inference.predict_function = failing(drawn, error)
    with pytest.raises(error):
        draw()
    tiny.assert_equal(tiny.weights(model), before)
    inference.predict_function = drawn
    np.testing.assert_array_equal(draw(), expected)


class Fail(keras.callbacks.Callback):
    """Fails where it is told to."""

    def __init__(self, where):
        super().__init__()
        setattr(self, where, self.fail)

    def fail(self, *args, **kwargs):
        raise Lost


@pytest.mark.parametrize("where", ["on_test_batch_begin", "on_test_batch_end"])
def test_an_evaluation_that_fails_leaves_the_weights(model, where):
    before = tiny.weights(model)
    arguments = {"batch_size": 4, "verbose": 0, "return_dict": True}
    expected = model.evaluate(tiny.IMAGES, **arguments)
    with pytest.raises(Lost):
        model.evaluate(tiny.IMAGES, callbacks=[Fail(where)], **arguments)
    tiny.assert_equal(tiny.weights(model), before)
    found = model.evaluate(tiny.IMAGES, **arguments)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "where, validation",
    [
        ("on_train_batch_begin", None),
        ("on_epoch_end", None),
        ("on_test_batch_end", tiny.IMAGES[:4]),
    ],
)
def test_a_fit_that_fails_leaves_weights_and_moments(model, where, validation):
    with pytest.raises(Lost):
        model.fit(callbacks=[Fail(where)], validation_data=validation, **FIT)
    states = [*tiny.weights(model).values(), *tiny.moments(model).values()]
    assert all(np.isfinite(v).all() for values in states for v in values)
    assert np.isfinite(model.fit(**FIT).history["loss"]).all()


def test_a_first_step_that_fails_leaves_the_weights(model):
    before = tiny.weights(model)
    make = model.make_train_function

    def broken(force=False):
        make(force)
        model.train_function = failing(model.train_function, Lost)

    model.make_train_function = broken
    with pytest.raises(Lost):
        model.fit(**FIT)
    after = tiny.weights(model)
    if tiny.BACKEND == "jax":  # elsewhere the step has been done
        tiny.assert_equal(after, before)
    assert all(
        np.isfinite(v).all() for values in after.values() for v in values
    )


class Press(keras.callbacks.Callback):
    """Presses Ctrl-C as a step begins."""

    def __init__(self, batch, times=1):
        super().__init__()
        self.batch, self.times, self.ended = batch, times, []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.batch:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(batch)


def test_ctrl_c_ends_fit_after_the_step_in_hand(capsys, ctrl_c):
    ema = {"use_ema": True, "ema_momentum": 0.5}
    model = tiny.compiled(tiny.model(), keras.optimizers.Adam(1e-2, **ema))
    press = Press(batch=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(callbacks=[press], epochs=9, **FIT)
    assert "Press Ctrl-C again" in capsys.readouterr().err
    assert press.ended == [0]
    steps = {
        int(keras.ops.convert_to_numpy(o.iterations))
        for o in model.optimizer.optimizers
    }
    assert steps == {2}
    assert model.averaged  # what draws; the next fit goes on from the raw ones
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert np.isfinite(model.fit(**FIT).history["loss"]).all()


def test_ctrl_c_twice_ends_fit_at_once(model, ctrl_c):
    press = Press(batch=1, times=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(callbacks=[press], **FIT)
    assert press.ended == [0]
    steps = keras.ops.convert_to_numpy(model.optimizer.iterations)
    assert int(steps) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_ones_own_is_left_alone(model):
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        model.fit(callbacks=[Press(batch=1)], **FIT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [1]


class FailIn(Fail):
    """Fails in the first step of an epoch."""

    def __init__(self, epoch):
        super().__init__("on_train_batch_begin")
        self.epoch, self.now = epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def fail(self, *args, **kwargs):
        if self.now == self.epoch:
            for variable in self.model.variables:
                # What a step that fails on JAX leaves of a variable.
                if tiny.BACKEND == "jax":
                    variable._value = None
            raise Lost


class Evaluate(keras.callbacks.Callback):
    """Evaluates and draws at the end of an epoch, as users do."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.evaluate(tiny.IMAGES[:4], batch_size=4, verbose=0)
        self.model.generate(1, **DRAW)


def averaging():
    return keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.5)


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_that_fails_leaves_raw_weights_and_averages(epoch):
    model = tiny.compiled(tiny.model(), averaging())
    model.fit(**FIT)
    drawn = tiny.weights(model)
    model.use_average(False)
    raw = tiny.weights(model)
    model.use_average(True)
    with pytest.raises(Lost):
        model.fit(epochs=2, callbacks=[Evaluate(), FailIn(epoch)], **FIT)
    assert model.averaged
    if epoch == 0:
        tiny.assert_equal(tiny.weights(model), drawn)
        model.use_average(False)
        tiny.assert_equal(tiny.weights(model), raw)
    assert np.isfinite(model.fit(**FIT).history["loss"]).all()


def test_an_evaluation_within_fit_changes_nobody_who_learns():
    model = tiny.compiled(tiny.model(), "sgd", run_eagerly=tiny.EAGERLY)
    model.adapt(tiny.IMAGES)
    before = tiny.weights(model)
    history = model.fit(
        factors="coarse", epochs=2, callbacks=[Evaluate()], **FIT
    ).history
    assert tiny.moved(tiny.weights(model), before) == {"coarse"}
    assert {n for n in history if n.endswith("_loss")} == {"coarse_loss"}


def test_a_prediction_that_fails_leaves_the_weights(model):
    before = tiny.weights(model)
    for predicting, inputs in (
        (model, tiny.IMAGES),
        (model.inference_model(2), model.draw_noise(2, 0, num_steps=2)),
    ):
        with pytest.raises(Lost):
            predicting.predict(
                inputs, verbose=0, callbacks=[Fail("on_predict_batch_end")]
            )
        tiny.assert_equal(tiny.weights(model), before)


def test_a_batch_is_checked_and_steps_the_raw_weights():
    model = tiny.compiled(tiny.model(0), averaging())
    with pytest.raises(ValueError, match="`adapt"):
        model.train_on_batch(tiny.IMAGES)
    model.fit(**FIT)
    model.use_average(False)
    raw = tiny.weights(model)
    model.use_average(True)
    with pytest.raises(ValueError, match="look like .0, 255"):
        model.train_on_batch(255 * np.abs(tiny.IMAGES))
    model.train_on_batch(tiny.IMAGES[:4])
    assert not model.averaged
    after = tiny.weights(model)
    assert tiny.moved(after, raw) == {"coarse"}
    change = max(
        np.abs(a - b).max()
        for a, b in zip(after["coarse"], raw["coarse"], strict=True)
    )
    assert change < 0.02  # one step of Adam from the raw weights
    losses = model.test_on_batch(tiny.IMAGES[:4], return_dict=True)
    assert np.isfinite(losses["coarse_loss"])


def test_a_fit_that_diverges_says_so():
    model = tiny.compiled(tiny.model(0), keras.optimizers.SGD(1e30))
    with pytest.raises(
        FloatingPointError, match="`coarse_loss` is nan.*Received: "
    ):
        model.fit(epochs=3, **FIT)
