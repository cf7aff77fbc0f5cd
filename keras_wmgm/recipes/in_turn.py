"""Default stages for any model: one factor after the other."""

from collections.abc import Iterable

import keras

from keras_wmgm.recipes.recipe import Stage
from keras_wmgm.recipes.transfer import are_alike

FINEST, GUIDE = 2.0, 0.25
"""Shares of the time; the share of other factors is 1."""


def stages_in_turn(
    model: keras.Model,
    factors: Iterable[str] | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
    from_nothing: bool = True,
) -> list[Stage]:
    """Return a stage for each factor, from the coarse band to the finest.

    If the networks have the same weights, details start from those of the next
    coarser level, and learn in a fraction of the time (zoo/NOTES.md has
    figures). One factor alone also compiles faster.

    Args:
        model: A `MultiscaleModel`.
        factors: Names as `fit` takes them; all, and their guides, by default.
        minutes: The time for all stages. The finest details, whose steps
            take longest, get twice the time of others.
        epochs: Epochs of each stage, instead of minutes.
        batch_size: Images per step.
        from_nothing: Whether the networks are new and may start from others'
            weights.

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
    """Return the names that can be trained alone: factors, then guides."""
    guides = [r.name for r in model.parts.learning if r.kind == "guide"]
    if "guide" in guides:  # of shared details; `fit` takes it for all guides
        guides = ["guide"]
    return [*model.factors, *guides]


def _order(model):
    """Return a sort key: coarse, details from the coarsest on, the rest."""
    coarse, *details = model.factors
    names = [coarse, *reversed(details)]
    return lambda name: names.index(name) if name in names else len(names)


def _share(model, name):
    """Return the share of the time of the roles of a name."""
    roles = model.parts.select(name)
    guides = sum(role.kind == "guide" for role in roles)
    levels = {
        k for role in roles if role.kind != "guide" for k in role.part.levels
    }
    return GUIDE * guides + sum(FINEST if k == 1 else 1.0 for k in levels)


def _origin(model, name, names):
    """Return the factor that another one starts from, or `None`."""
    parts = {part.name: part for part in model.parts}
    if name not in parts or len(parts[name].levels) > 1:
        return None
    (k,) = parts[name].levels
    for origin in parts.values():
        if origin.name in names and k and origin.levels == (k + 1,):
            same = are_alike(origin.factor, parts[name].factor)
            return origin.name if same else None
    return None
