import io
import signal

import keras
import pytest

from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import StopOnSignal
from keras_wmgm.callbacks import TimeLimit
from keras_wmgm.callbacks import Watch
from keras_wmgm.callbacks import load_run
from keras_wmgm.callbacks.interval import Interval
from keras_wmgm.utils import lock
from keras_wmgm.utils.interrupts import Interrupts
from tests.models import tiny

FIT = {"x": tiny.PIXELS, "batch_size": 4, "verbose": 0}


@pytest.fixture(scope="module")
def model():
    return tiny.compiled(tiny.model(0), "sgd")


def files(folder):
    """Return the names of the files, without that of the lock."""
    return {path.name for path in folder.iterdir()} - {lock.NAME}


class At(keras.callbacks.Callback):
    """Does something before the check of a batch."""

    def __init__(self, epoch, batch, action):
        super().__init__()
        self.when, self.action, self.batches = (epoch, batch), action, []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((self.epoch, batch))
        if self.when == (self.epoch, batch):
            self.action()


# When something is due


def test_what_is_due_counts_epochs_and_minutes(clock):
    interval = Interval(every=2, minutes=1)
    found = []
    for epoch in range(8):
        clock[0] += 25
        found.append(interval.due(epoch))
    # At 50 s it is too soon; at 100 s due; then 60 s have to pass again.
    assert found == [False, False, False, True, False, False, False, True]


def test_without_minutes_every_epoch_is_due(clock):
    assert [Interval().due(epoch) for epoch in range(3)] == [True] * 3
    assert [Interval(3).due(e) for e in range(4)] == [False, False, True, False]


@pytest.mark.parametrize("change", [{"every": 0}, {"minutes": -1}])
def test_intervals_are_positive(change):
    with pytest.raises(ValueError, match="Received: "):
        Interval(**change)


# Limits of time


def test_time_counts_from_the_first_batch_over_several_fits(model, clock):
    limit = TimeLimit(minutes=1)
    clock[0] += 500
    assert limit.elapsed == 0 and not limit.reached

    def pass_time():
        clock[0] += 35

    for initial, batches, stopped in ((0, 4, False), (1, 2, True)):
        log = At(initial, 1, pass_time)
        model.fit(
            initial_epoch=initial,
            epochs=initial + 1,
            callbacks=[log, limit],
            **FIT,
        )
        assert len(log.batches) == batches
        assert model.stop_training == stopped
    assert limit.elapsed == 70 and limit.reached


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), "1"])
def test_limits_are_positive(minutes):
    with pytest.raises(ValueError, match="`minutes` must be.*Received: "):
        TimeLimit(minutes)


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_its_batch_and_the_run_is_saved(
    tmp_path, model, number
):
    before = signal.getsignal(number)
    with StopOnSignal() as stop:
        assert signal.getsignal(number) == stop._hear
        at = At(0, 1, lambda: signal.raise_signal(number))
        folder = RunFolder(tmp_path, minutes=60)
        model.fit(epochs=9, callbacks=[at, stop, folder], **FIT)
        # A second one would be heard by who was there before.
        assert signal.getsignal(number) == before
    assert at.batches == [(0, 0), (0, 1)]
    assert stop.received == number
    assert signal.getsignal(number) == before
    assert load_run(tmp_path).epochs_trained == 1


def test_a_second_signal_ends_at_once(model, ctrl_c):
    def twice():
        signal.raise_signal(signal.SIGINT)
        assert stop.received == signal.SIGINT
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal was not heard")

    with StopOnSignal() as stop, pytest.raises(KeyboardInterrupt):
        model.fit(callbacks=[At(0, 0, twice), stop], **FIT)


class Broken(io.StringIO):
    """A stream that fails."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError])
def test_a_signal_is_heard_where_nothing_can_be_printed(monkeypatch, error):
    monkeypatch.setattr("sys.stdout", Broken(error))
    monkeypatch.setattr("sys.stderr", Broken(error))
    stop, interrupts = StopOnSignal(), Interrupts()
    stop._hear(signal.SIGTERM, None)
    interrupts._hear(signal.SIGINT, None)
    assert stop.received == signal.SIGTERM
    assert interrupts.pending


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="not on Windows")
@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_stops_unless_it_is_ignored(ignored):
    handler = signal.SIG_IGN if ignored else signal.SIG_DFL
    before = signal.signal(signal.SIGHUP, handler)
    try:
        with StopOnSignal() as stop:
            assert (signal.SIGHUP in stop.signals) != ignored
            signal.raise_signal(signal.SIGHUP)
        assert stop.received == (None if ignored else signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == handler
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_back_without_a_signal():
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(ZeroDivisionError), StopOnSignal() as stop:
        assert signal.getsignal(signal.SIGTERM) != before[0]
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in numbers] == before
    assert stop.received is None


# Losses


def watching(*args):
    watch = Watch(*args)
    watch.set_model(tiny.model(0))
    return watch


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops(value):
    with pytest.raises(FloatingPointError, match="`critic_loss` is (nan|inf)"):
        watching().on_epoch_end(3, {"loss": 1.0, "critic_loss": value})


def test_a_run_that_fails_leaves_the_last_good_one(tmp_path):
    model = tiny.compiled(tiny.model(0), keras.optimizers.SGD(1e-3))
    callbacks = [Watch(), RunFolder(tmp_path)]
    model.fit(epochs=2, callbacks=callbacks, **FIT)
    whole = (tmp_path / "run.keras").read_bytes()
    kernel = model.networks["coarse"].trainable_variables[0]
    kernel.assign(kernel * float("nan"))
    with pytest.raises(FloatingPointError, match="nan after epoch 3"):
        model.fit(initial_epoch=2, epochs=4, callbacks=callbacks, **FIT)
    assert files(tmp_path) == {"run.keras"}
    assert (tmp_path / "run.keras").read_bytes() == whole


def test_weights_lost_in_an_epoch_s_last_step_are_not_saved(tmp_path):
    model = tiny.compiled(tiny.model(0), keras.optimizers.SGD(1e-3))
    model.fit(epochs=1, callbacks=[Watch(), RunFolder(tmp_path)], **FIT)
    whole = (tmp_path / "run.keras").read_bytes()
    kernel = model.networks["coarse"].trainable_variables[0]

    def lose(epoch, logs):  # the losses are of before
        kernel.assign(kernel * float("inf"))

    callbacks = [
        keras.callbacks.LambdaCallback(on_epoch_end=lose),
        Watch(),
        RunFolder(tmp_path),
    ]
    with pytest.raises(FloatingPointError, match="is not finite after epoch 2"):
        model.fit(initial_epoch=1, epochs=3, callbacks=callbacks, **FIT)
    assert (tmp_path / "run.keras").read_bytes() == whole
    with pytest.raises(ValueError, match="training has failed"):
        model.save_to_preset(tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


def test_a_wrong_spread_is_told_once_until_it_is_right():
    lines = []
    watch = watching(lines.append)
    for epoch, ratio in enumerate((0.69, 0.5, 0.7, 1.41, 1.5, 1.4, 0.6)):
        logs = {"std_ratio_1": ratio, "std_ratio_2": 1.0, "loss": 9.0}
        watch.on_epoch_end(epoch, logs)
    assert lines == [
        f"epoch {epoch}: std_ratio_1 is {ratio}, and should be within 0.7 "
        "and 1.4"
        for epoch, ratio in ((1, "0.69"), (4, "1.41"), (7, "0.60"))
    ]


def test_a_generator_that_ignores_its_noise_is_told():
    lines = []
    watch = watching(lines.append)
    for epoch, spread in enumerate((0.5, 0.02, 0.01, 7.0)):
        watch.on_epoch_end(epoch, {"spread_2": spread, "loss": 0.0})
    assert lines == ["epoch 3: spread_2 is 0.01, and should be above 0.02"]


# Run folders


def test_a_run_is_saved_every_few_minutes_and_at_the_end(
    tmp_path, model, clock, monkeypatch
):
    saved, save = [], model.save

    def record(path):
        saved.append(model.epochs_trained)
        save(path)

    def pass_time():
        clock[0] += 40

    monkeypatch.setattr(model, "save", record)
    tick = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: pass_time()
    )
    folder = RunFolder(tmp_path, minutes=1)
    model.fit(epochs=5, callbacks=[tick, folder], **FIT)
    assert saved == [2, 4, 5]


def test_a_full_disk_leaves_the_last_good_run(tmp_path, model):
    resource = pytest.importorskip("resource")
    folder = RunFolder(tmp_path)
    model.fit(callbacks=[folder], **FIT)
    whole = (tmp_path / "run.keras").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    small = (len(whole) // 2, limits[1])

    def fill_up():
        resource.setrlimit(resource.RLIMIT_FSIZE, small)

    try:
        with pytest.raises(OSError, match="too large"):
            model.fit(callbacks=[At(0, 3, fill_up), folder], **FIT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path) == {"run.keras"}
    assert (tmp_path / "run.keras").read_bytes() == whole
