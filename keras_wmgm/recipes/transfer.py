"""Starting networks from the weights of others."""

from collections.abc import Iterable

import keras
import numpy as np

from keras_wmgm.recipes.recipe import Recipe


def shared_bands(source: keras.Model, model: keras.Model) -> dict[str, str]:
    """Return which factor of another model each factor can start from.

    The two factors must draw bands of the same height, with networks of the
    same weights. A factor that all levels share fits only a model of the same
    size and levels.

    Args:
        source: A `MultiscaleModel`.
        model: Another one.

    Returns:
        Names of factors of `source`, by those of `model`.
    """
    origins, names = _by_band(source), _by_band(model)
    return {
        names[band]: origins[band]
        for band in names
        if band in origins
        and are_alike(source.factors[origins[band]], model.factors[names[band]])
    }


def transfer(source: keras.Model, model: keras.Model) -> None:
    """Start factors from those of another model; see `shared_bands`.

    Guides and critics start too, if the other model has the same ones. Other
    networks and the band statistics are left as they are.

    Args:
        source: A `MultiscaleModel` that has learned.
        model: Another one, before it is compiled.
    """
    for name, origin in shared_bands(source, model).items():
        _start(model.factors[name], _values(source.factors[origin]))


def start_from(model: keras.Model, origin: str, name: str) -> None:
    """Start a factor from the averaged weights of another of the same model.

    Args:
        model: A compiled model.
        origin: Name of the factor that has learned.
        name: Name of the factor to start.
    """
    model.use_average(True)
    values = _values(model.factors[origin])
    model.use_average(False)
    _start(model.factors[name], values)


def keep_start(recipe: Recipe, started: Iterable[str]) -> None:
    """Keep stages from overwriting factors that start from a preset.

    Args:
        recipe: A recipe, which is changed.
        started: Their names.
    """
    for stage in recipe.stages:
        if stage.start_from is not None and set(stage.factors) <= set(started):
            stage.start_from = None


def check_starts(recipe: Recipe, model: keras.Model) -> None:
    """Refuse a stage that starts a factor from one with other weights."""
    for stage in recipe.stages:
        if stage.start_from is None:
            continue
        names = (stage.start_from, *stage.factors)
        unknown = [name for name in names if name not in model.factors]
        if unknown or not are_alike(*(model.factors[name] for name in names)):
            raise ValueError(
                "`start_from` must name a factor whose network has the same "
                f"weights. Received: {stage.start_from!r} for "
                f"{stage.factors[0]!r}, with the factors "
                f"{', '.join(model.factors)}"
            )


def _by_band(model):
    """Return the names of factors by band: kind, and height in pixels."""
    height = model.image_shape[0]
    bands = {}
    for part in model.parts:
        heights = tuple(height >> k for k in part.levels)
        if part.kind == "coarse":
            heights = (height >> model.num_levels,)
        shared = part.kind == "detail" and model.shares_details
        bands[part.kind, heights, shared] = part.name
    return bands


def _network(factor):
    return factor.networks["draw"]


def _values(factor):
    """Return copies of the weights of a factor's networks, by role."""
    return {
        role: [np.array(value) for value in network.get_weights()]
        for role, network in factor.networks.items()
    }


def _start(factor, values):
    """Set the weights of the networks with matching shapes."""
    for role, network in factor.networks.items():
        if role in factor.frozen:
            continue  # a teacher is that of its own band
        if [v.shape for v in values.get(role, [])] == _shapes(network):
            network.set_weights(values[role])


def are_alike(one, other):
    """Return whether two factors draw with networks of the same weights."""
    same = _shapes(_network(one)) == _shapes(_network(other))
    return type(one) is type(other) and same


def _shapes(network):
    return [tuple(weight.shape) for weight in network.weights]
