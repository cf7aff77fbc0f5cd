"""A file with the losses and measures of every epoch."""

import json
import os
import time
from collections.abc import Callable

import keras

from keras_wmgm.callbacks.going_on import going_on
from keras_wmgm.utils.writing import as_path


class HistoryFile(keras.callbacks.Callback):
    """Append a line of JSON with the losses and measures of every epoch.

    Each line is an object with `epoch`, counted from 1, `seconds`, the
    training time since this callback's first epoch, and every loss and
    measure by name. The names depend on the factors that are trained, so the
    file is not a table. A resumed run writes the epochs since its last save
    again; use the last line of an epoch.

    Training continues when the disk is full: lines that cannot be written are
    kept, and written when there is room.

    Args:
        path: The file; it and its folder are made if necessary.
        tell: Called with a line about a failure; `print` by default.

    Example:

    ```python
    history = keras_wmgm.callbacks.HistoryFile("runs/cats/history.jsonl")
    model.fit(images, epochs=100, callbacks=[history])
    lines = open("runs/cats/history.jsonl").readlines()
    losses = [json.loads(line)["coarse_loss"] for line in lines]
    ```
    """

    def __init__(
        self, path: str | os.PathLike, tell: Callable[[str], None] = print
    ):
        super().__init__()
        self.path = as_path(path)
        self.tell = tell
        self.lines = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.monotonic() - self.began
        line = {"epoch": epoch + 1, "seconds": round(self.seconds, 2)}
        for name, value in (logs or {}).items():
            line[name] = float(f"{float(value):.5g}")
        self.lines.append(json.dumps(line) + "\n")
        with going_on(self.tell, self.path):
            self._append()

    def _append(self):
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("a", encoding="utf-8") as file:
                # A process that was killed may have left half of a line.
                file.write("" if self._ends_whole() else "\n")
                file.writelines(self.lines)
            self.lines.clear()
        except OSError:
            if self.path.exists():
                os.truncate(self.path, size)  # removes half a line
            raise

    def _ends_whole(self):
        with self.path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return True
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"
