"""What `fit` reports, kept in a file."""

import json
import os
import time
from pathlib import Path

import keras


class HistoryFile(keras.callbacks.Callback):
    """Append a line of JSON for every epoch: what `fit` reports, and when.

    Each line is an object with `epoch`, counted from 1, `seconds`, those that
    training has taken since this callback's first epoch, and every loss and
    measure by name. Which these are changes with the factors that are
    trained, so it is not a table. A run that goes on from its last save
    writes some epochs again: of two lines of an epoch the later one holds.

    Args:
        path: The file, made with its folder if it is not there.

    Example:

    ```python
    history = keras_wmgm.callbacks.HistoryFile("runs/cats/history.jsonl")
    model.fit(images, epochs=100, callbacks=[history])
    lines = open("runs/cats/history.jsonl").readlines()
    losses = [json.loads(line)["coarse_loss"] for line in lines]
    ```
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.monotonic() - self.began
        line = {"epoch": epoch + 1, "seconds": round(self.seconds, 2)}
        for name, value in (logs or {}).items():
            line[name] = float(f"{float(value):.5g}")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
