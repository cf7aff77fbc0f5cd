"""The callbacks that `fit` adds for itself."""

import math
from typing import Any

import keras

from keras_wmgm.training.parts import as_list
from keras_wmgm.utils.interrupts import Interrupts
from keras_wmgm.utils.interrupts import RestoredOnError


class Housekeeping(keras.callbacks.Callback):
    """The callback that runs before all others of a `fit`.

    Within an epoch the networks hold their raw weights. Between epochs, and
    when `fit` ends, they hold the averages. So validation, and every callback
    at the end of an epoch, uses the weights that draw and that are saved.

    Training stops where a loss is not finite: every batch may be good, and the
    learning rate too high; or Keras reads the data itself (`tf.data`), so that
    only the first batch was checked.

    Args:
        data: The training data; its `set_epoch` is called, if it has one.
        interrupts: Checked for Ctrl-C after every batch.
        restored: Keeps the variables of each epoch's beginning.
    """

    def __init__(
        self, data: Any, interrupts: Interrupts, restored: RestoredOnError
    ):
        super().__init__()
        self.data, self.interrupts = data, interrupts
        self.restored = restored

    def on_epoch_begin(self, epoch, logs=None):
        self.interrupts.check()
        self.model.use_average(False)
        self.restored.keep()
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self.interrupts.check()

    def on_test_batch_end(self, batch, logs=None):
        self.interrupts.check()

    def on_epoch_end(self, epoch, logs=None):
        self.model.epochs_trained = epoch + 1
        self.model.use_average(True)
        for name, value in (logs or {}).items():
            if name.endswith("loss") and not math.isfinite(value):
                raise FloatingPointError(
                    f"`{name}` is {value} after epoch {epoch + 1}: lower the "
                    "learning rate, or clip the gradients (`global_clipnorm`); "
                    "or an image is not finite. What was saved before is kept. "
                    f"Received: {name}={value}"
                )


def without_swaps(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Return callbacks as a list, without `SwapEMAWeights`.

    `Housekeeping` does the same, and a second swap would undo the first.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    swap = keras.callbacks.SwapEMAWeights
    return [c for c in as_list(callbacks) if not isinstance(c, swap)]
