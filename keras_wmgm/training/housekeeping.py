"""What `fit` does between the steps."""

import math
from typing import Any

import keras

from keras_wmgm.training.parts import as_list
from keras_wmgm.utils.interrupts import Interrupts
from keras_wmgm.utils.interrupts import RestoredOnError


class Housekeeping(keras.callbacks.Callback):
    """The first of all callbacks of a `fit`.

    Within an epoch the networks hold their raw weights; between two epochs,
    and when `fit` ends, the averages that draw. So validation, and every
    callback at the end of an epoch, has what is drawn and saved.

    Training stops where a loss is not finite: every batch may be good, and the
    learning rate too high; or Keras reads the data itself (`tf.data`), so that
    only the first batch was checked.

    Args:
        data: What is told which epoch it is, if it has `set_epoch`.
        interrupts: Ctrl-C is met after a batch.
        restored: What gives variables back after an error.
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
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss is not finite after epoch {epoch + 1}: lower the "
                "learning rate, or clip the gradients (`global_clipnorm`); or "
                "an image is not finite. What was saved before is kept. "
                f"Received: loss={loss}"
            )


def without_swaps(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Return callbacks as a list, without `SwapEMAWeights`.

    What it does is done by `Housekeeping`, and done twice it would be undone.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    swap = keras.callbacks.SwapEMAWeights
    return [c for c in as_list(callbacks) if not isinstance(c, swap)]
