"""Training that fails, noticed while it does."""

import math
from collections.abc import Callable

import keras

LOWEST, HIGHEST = 0.7, 1.4


class Watch(keras.callbacks.Callback):
    """Stop where a loss is not finite; tell where a spread goes wrong.

    A `std_ratio` outside of [0.7, 1.4] says that a factor draws details much
    weaker or stronger than the data's: a generator that collapses, or one
    that has not learned yet. It is told once, until it is right again. Stand
    it before a `RunFolder`, and the last good run is kept.

    Args:
        tell: What is called with the line to tell; `print` by default.

    Example:

    ```python
    callbacks = [keras_wmgm.callbacks.Watch(), run_folder]
    model.fit(images, epochs=100, callbacks=callbacks)
    ```
    """

    def __init__(self, tell: Callable[[str], None] = print):
        super().__init__()
        self.tell = tell
        self.told = set()

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        for name, value in logs.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"`{name}` is {value} after epoch {epoch + 1}: lower the "
                    "learning rate, or clip the gradients "
                    "(`global_clipnorm`). What was saved before is kept."
                )
        for name in [name for name in logs if name.startswith("std_ratio")]:
            self._compare(name, logs[name], epoch)

    def _compare(self, name, value, epoch):
        if LOWEST <= value <= HIGHEST:
            self.told.discard(name)
        elif name not in self.told:
            self.told.add(name)
            self.tell(
                f"epoch {epoch + 1}: {name} is {value:.2f}, and should be "
                f"within {LOWEST} and {HIGHEST}"
            )
