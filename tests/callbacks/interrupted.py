"""A training run that is killed in the middle of its third epoch.

python -m tests.callbacks.interrupted FOLDER
"""

import os
import signal
import sys

if os.environ.get("KERAS_BACKEND") == "torch":
    # TensorFlow, loaded first, can crash PyTorch's own loading.
    import torch  # noqa: F401

import keras

from keras_wmgm.callbacks import RunFolder
from tests.models import tiny

EPOCHS, DONE = 4, 2


class Kill(keras.callbacks.Callback):
    """Ends the process with no chance to clean up."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (DONE, 0):
            os.kill(os.getpid(), signal.SIGKILL)


def make():
    """Return the model as it is before training."""
    keras.utils.set_random_seed(4)
    ema = {"use_ema": True, "ema_momentum": 0.5}
    optimizers = {
        "coarse": keras.optimizers.Adam(1e-2, name="coarse", **ema),
        "detail": keras.optimizers.AdamW(1e-2, name="detail", **ema),
        "critic": keras.optimizers.AdamW(1e-3, name="critic"),
    }
    factor = tiny.gan(condition_noise=0.3)
    return tiny.compiled(tiny.model(details=factor), optimizers)


def train(model, callbacks=(), **kwargs):
    """Train the model to the end. Return the history."""
    return model.fit(
        tiny.PIXELS,
        batch_size=4,
        epochs=EPOCHS,
        callbacks=list(callbacks),
        verbose=0,
        **kwargs,
    ).history


if __name__ == "__main__":
    train(make(), [RunFolder(sys.argv[1]), Kill()])
