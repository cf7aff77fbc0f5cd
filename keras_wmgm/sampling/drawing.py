"""The one loop that draws, a batch at a time."""

import warnings
from collections.abc import Callable
from collections.abc import Iterator

import keras
import numpy as np

from keras_wmgm.sampling.inference_model import InferenceModel
from keras_wmgm.utils.finite import check_finite
from keras_wmgm.utils.images import as_dtype
from keras_wmgm.utils.interrupts import RestoredOnError


def draw_images(
    model: InferenceModel,
    inputs: Callable[[range], dict[str, np.ndarray]],
    num_images: int,
    batch_size: int,
    dtype: str,
    verbose: int | str = "auto",
    what: str = "generate",
) -> np.ndarray:
    """Return the images that an inference model draws.

    Memory holds the noise and the floats of one batch at a time. The last
    batch is padded to the size of the others and then cropped, so that nothing
    is compiled twice. An error or Ctrl-C leaves the weights as they are.

    Args:
        model: The model from noise to images.
        inputs: Function from indices, counted from 0, to the model's
            inputs.
        num_images: Number of images.
        batch_size: Images per batch.
        dtype: One of `keras_wmgm.utils.images.DTYPES`.
        verbose: As of `keras.Model.predict`.
        what: Who draws, for messages.

    Raises:
        ValueError: If the weights are not finite.
    """
    check_finite(model.variables, what)
    images, lost = None, []
    with RestoredOnError(model):
        for first in _firsts(num_images, batch_size, verbose):
            batch = model.predict_on_batch(
                inputs(range(first, first + batch_size))
            )[: num_images - first]
            finite = np.isfinite(batch).all(axis=(1, 2, 3))
            if not finite.all():
                lost += [first + i for i in np.flatnonzero(~finite)]
                batch = np.nan_to_num(batch, nan=-1.0)
            batch = as_dtype(batch, dtype)
            if images is None:
                images = np.empty((num_images, *batch.shape[1:]), batch.dtype)
            images[first : first + len(batch)] = batch
    if lost:
        warnings.warn(
            "Some images are not finite and come out black: draw them with "
            "more steps or another sampler. "
            f"Received: images {', '.join(map(str, lost))}",
            stacklevel=3,
        )
    return images


def _firsts(num_images, batch_size, verbose) -> Iterator[int]:
    """Yield the index of each batch's first image, and show the progress."""
    firsts = range(0, num_images, batch_size)
    verbose = 1 if verbose == "auto" else int(verbose)
    bar = keras.utils.Progbar(len(firsts), verbose=verbose)
    for done, first in enumerate(firsts, start=1):
        yield first
        bar.update(done)
