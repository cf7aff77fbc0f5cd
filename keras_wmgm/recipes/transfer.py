"""Networks that start from what others have learned."""

from collections.abc import Iterable

import keras
import numpy as np

from keras_wmgm.recipes.recipe import Recipe


def transfer(source: keras.Model, model: keras.Model) -> set[str]:
    """Start factors from another model's, those of bands of the same size.

    Bands of one size are alike, be they of large images or of small ones. A
    network of other weights is left as it is, and so are statistics of bands.

    Args:
        source: A `MultiscaleModel` that has learned.
        model: Another one, before it is compiled.

    Returns:
        The names of the factors of `model` that were started.
    """
    origins, names = _by_band(source), _by_band(model)
    started = set()
    for band in origins.keys() & names.keys():
        origin = source.factors[origins[band]]
        factor = model.factors[names[band]]
        if _alike(origin, factor):
            _network(factor).set_weights(_network(origin).get_weights())
            started.add(names[band])
    return started


def start_from(model: keras.Model, origin: str, name: str) -> None:
    """Start a factor from the averaged weights of another of the same model.

    Args:
        model: A compiled model.
        origin: Name of the factor that has learned.
        name: Name of the factor that begins.
    """
    model.use_average(True)
    values = [
        np.array(v) for v in _network(model.factors[origin]).get_weights()
    ]
    model.use_average(False)
    _network(model.factors[name]).set_weights(values)


def keep_start(recipe: Recipe, started: Iterable[str]) -> None:
    """Let no stage overwrite factors that were started from a preset.

    Args:
        recipe: A recipe, which is changed.
        started: Their names.
    """
    for stage in recipe.stages:
        if stage.start_from is not None and set(stage.factors) <= set(started):
            stage.start_from = None


def check_starts(recipe: Recipe, model: keras.Model) -> None:
    """Refuse a stage that starts a factor from one unlike it."""
    for stage in recipe.stages:
        if stage.start_from is None:
            continue
        names = (stage.start_from, *stage.factors)
        unknown = [name for name in names if name not in model.factors]
        if unknown or not _alike(*(model.factors[name] for name in names)):
            raise ValueError(
                "`start_from` must name a factor whose network has the same "
                f"weights. Received: {stage.start_from!r} for "
                f"{stage.factors[0]!r}, with the factors "
                f"{', '.join(model.factors)}"
            )


def _by_band(model):
    """Return the names of factors by band: kind and height in pixels."""
    height, levels = model.image_shape[0], range(1, model.num_levels + 1)
    bands = {("coarse", height >> model.num_levels): "coarse"}
    if not model.shares_details:
        bands |= {("detail", height >> k): f"detail_{k}" for k in levels}
    return bands


def _network(factor):
    return factor.networks["draw"]


def _alike(one, other):
    """Return whether two factors draw by networks of the same weights."""
    shapes = [
        [tuple(weight.shape) for weight in _network(factor).weights]
        for factor in (one, other)
    ]
    return type(one) is type(other) and shapes[0] == shapes[1]
