"""A folder from which a training run can be resumed exactly."""

import os
import zipfile
from pathlib import Path
from weakref import WeakValueDictionary

import keras

from keras_wmgm.callbacks.interval import Interval
from keras_wmgm.utils.lock import FolderLock
from keras_wmgm.utils.writing import as_path
from keras_wmgm.utils.writing import keras_archive
from keras_wmgm.utils.writing import remove_leftovers
from keras_wmgm.utils.writing import written_whole

RUN_FILE = "run.keras"
HOLDERS: WeakValueDictionary[Path, FolderLock] = WeakValueDictionary()
"""The last lock of each folder: a traceback may keep that of a failed `fit`."""


class RunFolder(keras.callbacks.Callback):
    """Save the complete state of a training run, so that it can be resumed.

    `run.keras` holds raw and averaged weights, critics, optimizers, random
    states and the number of epochs done, in Keras's own format. It is written
    under a temporary name and renamed, so the last complete file survives if
    the process is killed or the disk is full. A model whose training has
    failed is not saved. `load_run` loads the model.

    Only one process can use a run folder at a time. It locks the folder when
    training starts, or at the first save, until training ends; after an
    error, until the next `fit` on the folder ends, or the callback is deleted
    or the process ends.

    With an array or an `ImageBatches` the order of the images is a function
    of seed and epoch, so a resumed run gives the same weights as an
    uninterrupted one.

    Args:
        folder: The run folder; made if necessary.
        every: Epochs between two saves.
        minutes: The least number of minutes between two saves.
        at_end: Whether to save at the end of `fit` in any case.

    Raises:
        ValueError: If `every` is not a positive whole number, or `minutes`
            is negative; while training, if weights, averages or the state of
            an optimizer are not finite.
        OSError: While training, if another process holds the folder, or the
            disk is full.

    Example:

    ```python
    run = keras_wmgm.callbacks.RunFolder("runs/cats")
    model.fit(images, epochs=100, callbacks=[run])
    # Killed? Go on:
    model = keras_wmgm.callbacks.load_run("runs/cats")
    model.fit(
        images,
        initial_epoch=model.epochs_trained,
        epochs=100,
        callbacks=[keras_wmgm.callbacks.RunFolder("runs/cats")],
    )
    ```
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        every: int = 1,
        minutes: float = 0.0,
        at_end: bool = True,
    ):
        super().__init__()
        self.folder = as_path(folder)
        self.interval = Interval(every, minutes)
        self.at_end = at_end
        self.saved = True
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = FolderLock(self.folder)

    def on_train_begin(self, logs=None):
        self._take()
        remove_leftovers(self.folder, RUN_FILE)

    def on_epoch_end(self, epoch, logs=None):
        self.saved = False
        if self.interval.due(epoch):
            self.save()

    def on_train_end(self, logs=None):
        if self.at_end and not self.saved:
            self.save()
        self.lock.release()

    def save(self) -> None:
        """Save the run as it is now."""
        self._take()
        content = keras_archive(self.model)
        with written_whole(self.folder / RUN_FILE) as temporary:
            temporary.write_bytes(content)
        self.saved = True

    def _take(self):
        """Take the folder, also from a `fit` that failed in this process."""
        self.lock.acquire()
        folder = self.folder.resolve()
        left = HOLDERS.get(folder, self.lock)
        if left is not self.lock:
            left.release()
        HOLDERS[folder] = self.lock


def load_run(folder: str | os.PathLike) -> keras.Model:
    """Return the compiled model of a run folder, as it was when it was saved.

    Its networks hold the averages of their weights, as after `fit`; the next
    `fit` continues from the raw weights.

    Args:
        folder: The folder of a `RunFolder`.

    Raises:
        FileNotFoundError: If there is no run in the folder.
        ValueError: If its file cannot be read.
    """
    path = as_path(folder) / RUN_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"The folder has no {RUN_FILE}, so it is not a run folder. "
            f"Received: {folder}"
        )
    try:
        model = keras.saving.load_model(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            "The run cannot be read, as its file is not a complete .keras "
            f"file ({error}). Received: {path}"
        ) from error
    model.use_average(True)
    return model
