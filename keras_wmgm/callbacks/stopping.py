"""Callbacks that stop training: after some time, and on a signal."""

import signal
import time

import keras

from keras_wmgm.utils.checks import check_number


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
            and SIGINT, which is Ctrl-C.

    Example:

    ```python
    with keras_wmgm.callbacks.StopOnSignal() as stop:
        model.fit(images, epochs=100, callbacks=[stop, run_folder])
    ```
    """

    def __init__(
        self, signals: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)
    ):
        super().__init__()
        self.signals = signals
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
        print("Saving and stopping; once more to stop at once.", flush=True)

    def _restore(self):
        while self._before:
            signal.signal(*self._before.popitem())

    def on_train_batch_end(self, batch, logs=None):
        if self.received is not None:
            self.model.stop_training = True
