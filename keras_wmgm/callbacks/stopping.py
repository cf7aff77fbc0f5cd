"""Callbacks that stop training: after some time, and on a signal."""

import signal
import sys
import time

import keras

from keras_wmgm.utils.checks import check_number
from keras_wmgm.utils.streams import say


class TimeLimit(keras.callbacks.Callback):
    """Stop after a number of minutes, over any number of `fit` calls.

    The time is counted from the first batch.

    Args:
        minutes: How long to train.

    Attributes:
        stopped: Whether this callback ended a `fit`.

    Raises:
        ValueError: If `minutes` is not positive.

    Example:

    ```python
    limit = keras_wmgm.callbacks.TimeLimit(minutes=30)
    model.fit(images, epochs=1000, callbacks=[limit])
    ```
    """

    def __init__(self, minutes: float):
        super().__init__()
        self.seconds = 60 * check_number("minutes", minutes, 0, above=True)
        self.began = None
        self.stopped = False

    @property
    def elapsed(self) -> float:
        """Seconds since the first batch."""
        return 0.0 if self.began is None else time.monotonic() - self.began

    @property
    def reached(self) -> bool:
        """Whether the time is up."""
        return self.elapsed >= self.seconds

    def on_train_batch_begin(self, batch, logs=None):
        if self.began is None:
            self.began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        if self.reached and not self.model.stop_training:
            self.model.stop_training = self.stopped = True


class StopOnSignal(keras.callbacks.Callback):
    """Stop after the current batch when the process receives a signal.

    The rest of the epoch is skipped, but callbacks still run at its end, so a
    `RunFolder` saves the run. Use it as a context manager around `fit`. A
    second signal ends the process at once.

    Args:
        signals: The signals: by default SIGTERM, which job schedulers send,
            SIGINT, which is Ctrl-C, and SIGHUP, which a closed terminal sends,
            unless it is ignored (`nohup`).

    Example:

    ```python
    with keras_wmgm.callbacks.StopOnSignal() as stop:
        model.fit(images, epochs=100, callbacks=[stop, run_folder])
    ```
    """

    def __init__(self, signals: tuple[int, ...] | None = None):
        super().__init__()
        self.signals = _usual_signals() if signals is None else signals
        self.received = None
        self._before = {}

    def __enter__(self):
        self._before = {s: signal.signal(s, self._hear) for s in self.signals}
        return self

    def __exit__(self, *error):
        self._restore()

    def _hear(self, number, frame):
        self.received = number
        self._restore()
        say("Saving and stopping; once more to stop at once.", sys.stdout)

    def _restore(self):
        while self._before:
            signal.signal(*self._before.popitem())

    def on_train_batch_end(self, batch, logs=None):
        if self.received is not None:
            self.model.stop_training = True


def _usual_signals():
    usual = [signal.SIGTERM, signal.SIGINT]
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up and signal.getsignal(hang_up) != signal.SIG_IGN:
        usual.append(hang_up)
    return tuple(usual)
