import keras
import numpy as np
import pytest

from keras_wmgm.callbacks import DecayOverTime
from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import TimeLimit
from keras_wmgm.callbacks import load_run
from tests.models import tiny


class Rates(keras.callbacks.Callback):
    """Keeps the rates of every epoch, each of which takes 15 seconds."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.seen = clock, []

    def on_train_batch_begin(self, batch, logs=None):
        optimizers = self.model.optimizer.by_role
        self.seen.append(
            {role: float(o.learning_rate) for role, o in optimizers.items()}
        )

    def on_epoch_end(self, epoch, logs=None):
        self.clock[0] += 15


def fit(model, clock, minutes=1, **kwargs):
    limit = TimeLimit(minutes)
    rates = Rates(clock)
    callbacks = [limit, DecayOverTime(limit, **kwargs), rates]
    model.fit(
        tiny.PIXELS, batch_size=16, epochs=9, verbose=0, callbacks=callbacks
    )
    return rates.seen


def test_rates_fall_along_a_cosine_until_the_time_is_up(clock):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model = tiny.compiled(
        tiny.model(),
        {
            "coarse": keras.optimizers.SGD(0.01),
            "detail": keras.optimizers.SGD(schedule),
            "critic": keras.optimizers.SGD(0.02),
        },
    )
    seen = fit(model, clock, roles=["coarse", "detail"])
    coarse = [rates["coarse"] for rates in seen]
    expected = 0.51 + 0.49 * np.cos(np.pi * np.arange(5) / 4)
    np.testing.assert_allclose(coarse, 0.01 * expected, 1e-5)
    detail = [rates["detail"] for rates in seen]
    np.testing.assert_allclose(detail, 0.1 * 0.5 ** np.arange(5), 1e-5)
    assert {round(rates["critic"], 6) for rates in seen} == {0.02}


def test_every_rate_falls_unless_it_is_said(clock):
    model = tiny.compiled(tiny.model(0), keras.optimizers.SGD(0.04))
    rates = [r["coarse"] for r in fit(model, clock)]
    assert len(rates) == 5
    np.testing.assert_allclose((rates[0], rates[-1]), (0.04, 0.0008), 1e-5)


def test_a_run_is_saved_with_its_whole_rate(clock, tmp_path):
    model = tiny.compiled(tiny.model(0), keras.optimizers.SGD(0.04))
    limit = TimeLimit(minutes=1)
    callbacks = [limit, DecayOverTime(limit), RunFolder(tmp_path), Rates(clock)]
    model.fit(
        tiny.PIXELS, batch_size=16, epochs=3, verbose=0, callbacks=callbacks
    )
    assert callbacks[-1].seen[-1]["coarse"] < 0.03
    optimizer = load_run(tmp_path).optimizer.by_role["coarse"]
    assert float(optimizer.learning_rate) == pytest.approx(0.04)


def test_a_rate_falls_from_when_its_network_is_trained(clock):
    model = tiny.compiled(tiny.model(), keras.optimizers.SGD(0.04))
    limit = TimeLimit(minutes=1)
    rates = Rates(clock)
    callbacks = [limit, DecayOverTime(limit), rates]
    kwargs = {"batch_size": 16, "verbose": 0, "callbacks": callbacks}
    model.fit(tiny.PIXELS, epochs=2, factors="coarse", **kwargs)
    model.fit(tiny.PIXELS, epochs=9, factors="detail", **kwargs)
    expected = 0.51 + 0.49 * np.cos(np.pi * np.array([0, 0.25]))
    coarse = [r["coarse"] for r in rates.seen]
    np.testing.assert_allclose(coarse[:2], 0.04 * expected, 1e-5)
    assert set(coarse[2:]) == {coarse[0]}  # left as it was found
    expected = 0.51 + 0.49 * np.cos(np.pi * np.array([0, 0, 0, 0.5, 1]))
    detail = [r["detail"] for r in rates.seen]
    np.testing.assert_allclose(detail, 0.04 * expected, 1e-5)


def test_rates_rise_in_the_first_steps(clock):
    model = tiny.compiled(tiny.model(0), keras.optimizers.SGD(0.04))
    # An epoch has one step.
    seen = fit(model, clock, minutes=10, warmup_steps=2)
    expected = 0.51 + 0.49 * np.cos(np.pi * np.arange(9) / 40)
    expected[:2] *= 0.25, 0.625
    np.testing.assert_allclose(
        [rates["coarse"] for rates in seen], 0.04 * expected, 1e-5
    )


def test_a_tenth_of_the_time_is_enough_to_rise(clock):
    model = tiny.compiled(tiny.model(0), keras.optimizers.SGD(0.04))
    seen = fit(model, clock, warmup_steps=1000)
    expected = 0.51 + 0.49 * np.cos(np.pi * np.arange(5) / 4)
    expected[0] *= 0.25
    np.testing.assert_allclose(
        [rates["coarse"] for rates in seen], 0.04 * expected, 1e-5
    )


def test_a_long_epoch_has_the_mean_of_its_rising_rates(clock):
    limit = TimeLimit(minutes=1)
    decay = DecayOverTime(limit, warmup_steps=4)
    decay.params = {"steps": 8}
    optimizer = keras.optimizers.SGD(0.04)
    shares = [0.25, 0.4375, 0.625, 0.8125, 1, 1, 1, 1]
    assert decay._warm(optimizer) == np.mean(shares)
