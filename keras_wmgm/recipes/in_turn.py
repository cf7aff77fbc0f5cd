"""Stages for a model of which nothing is known but its factors."""

from collections.abc import Iterable

import keras

from keras_wmgm.recipes.recipe import Stage
from keras_wmgm.recipes.transfer import are_alike

FINEST, GUIDE = 2.0, 0.25
"""Shares of the time; every other factor has 1."""


def stages_in_turn(
    model: keras.Model,
    factors: Iterable[str] | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
    from_nothing: bool = True,
) -> list[Stage]:
    """Return a stage for each factor, one after the other.

    From the coarse band on to the finest details. Details begin with the
    weights of those half as fine where the networks are alike, and learn in a
    fraction of the time then (zoo/NOTES.md has figures). What is compiled for
    a factor alone is ready sooner, too.

    Args:
        model: A `MultiscaleModel`.
        factors: Names as `fit` takes them; all, and their guides, by default.
        minutes: The time that they share; the finest details, whose steps
            take longest, have twice the time of others.
        epochs: Epochs for each, instead of minutes.
        batch_size: Images per step.
        from_nothing: Whether the networks are new; others keep what they
            have learned.

    Raises:
        ValueError: For names of no factor and no role, and without an end.
    """
    if (minutes is None) == (epochs is None):
        raise ValueError(
            "Stages last for `minutes` or for `epochs`. "
            f"Received: minutes={minutes}, epochs={epochs}"
        )
    names = [factors] if isinstance(factors, str) else factors
    names = sorted(names or _parts_of(model), key=_order(model))
    model.trained_roles(names)
    shares = [_share(model, name) for name in names]
    return [
        Stage(
            [name],
            epochs=epochs,
            minutes=minutes and minutes * share / sum(shares),
            batch_size=batch_size,
            start_from=_origin(model, name, names) if from_nothing else None,
        )
        for name, share in zip(names, shares, strict=True)
    ]


def _parts_of(model):
    """Return what can be trained alone: the factors, and then the guides."""
    guides = [r.name for r in model.parts.present if r.kind == "guide"]
    if "guide" in guides:  # of shared details; `fit` takes it for all guides
        guides = ["guide"]
    return [*model.factors, *guides]


def _order(model):
    """Return what sorts names: coarse, details from the coarsest, the rest."""
    coarse, *details = model.factors
    names = [coarse, *reversed(details)]
    return lambda name: names.index(name) if name in names else len(names)


def _share(model, name):
    """Return the share of the time of all that a name stands for."""
    roles = model.parts.select(name)
    guides = sum(role.kind == "guide" for role in roles)
    levels = {
        k for role in roles if role.kind != "guide" for k in role.part.levels
    }
    return GUIDE * guides + sum(FINEST if k == 1 else 1.0 for k in levels)


def _origin(model, name, names):
    """Return the factor whose weights one begins with, or `None`."""
    parts = {part.name: part for part in model.parts}
    if name not in parts or len(parts[name].levels) > 1:
        return None
    (k,) = parts[name].levels
    for origin in parts.values():
        if origin.name in names and k and origin.levels == (k + 1,):
            same = are_alike(origin.factor, parts[name].factor)
            return origin.name if same else None
    return None
