"""Grids of generated images during training."""

import os
from collections.abc import Callable

import keras

from keras_wmgm.callbacks.going_on import going_on
from keras_wmgm.callbacks.interval import Interval
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.files import image_grid
from keras_wmgm.utils.files import save_image
from keras_wmgm.utils.images import pixelated
from keras_wmgm.utils.writing import as_path


class SampleGrid(keras.callbacks.Callback):
    """Draw a grid of images with the averaged weights, every few epochs.

    The noise is the same every time, so the same images get better. While the
    diffusion of a level has learned nothing, the details of this and of finer
    levels are left out, and pixels are large. Training is not affected. If a
    grid cannot be written, for example on a full disk, training continues
    without it.

    Args:
        folder: The folder for `epoch_0010.png`, ...
        every: Epochs between two grids.
        num_images: Images in a grid.
        num_steps: As of `generate`.
        seed: Seed of the noise.
        minutes: The least number of minutes between two grids.
        tell: Called with a line about a failure; `print` by default.

    Example:

    ```python
    grid = keras_wmgm.callbacks.SampleGrid("runs/cats/samples", every=10)
    model.fit(images, epochs=100, callbacks=[grid])
    ```
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        every: int = 1,
        num_images: int = 16,
        num_steps: int | tuple[int, ...] = 8,
        seed: int = 0,
        minutes: float = 0.0,
        tell: Callable[[str], None] = print,
    ):
        super().__init__()
        self.folder = as_path(folder)
        self.tell = tell
        self.interval = Interval(every, minutes)
        self.num_images = check_count("num_images", num_images)
        self.num_steps = num_steps
        self.seed = seed
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        if self.interval.due(epoch):
            path = self.folder / f"epoch_{epoch + 1:04d}.png"
            with going_on(self.tell, path):
                self.draw(path)

    def draw(self, path: str | os.PathLike) -> None:
        """Write a grid to a file."""
        path = as_path(path)
        averaged = self.model.averaged
        self.model.use_average(True)
        try:
            images = self.model.generate(
                self.num_images, self.num_steps, seed=self.seed, verbose=0
            )
        finally:
            self.model.use_average(averaged)
        save_image(image_grid(pixelated(images, self._pixel())), path)

    def _pixel(self):
        """Return the size of the finest detail that has been learned."""
        details = enumerate(self.model.details, start=1)
        return 2 ** max((k for k, f in details if f.is_new), default=0)
