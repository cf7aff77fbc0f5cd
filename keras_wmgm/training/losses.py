"""The sum of the losses of a model's factors, and what `fit` reports."""

from collections.abc import Callable
from collections.abc import Iterable

import keras
from keras import ops

from keras_wmgm.training.parts import Part
from keras_wmgm.types import Tensor


def reported(part: Part) -> list[str]:
    """Return the names of the losses and measures of a part."""
    losses = [f"{r.name}_loss" for r in part.roles if not r.frozen]
    measures = [
        measured_at(measure, k)
        for k in part.levels
        for measure in part.factor.measures
    ]
    return losses + measures


def measured_at(measure: str, k: int) -> str:
    """Return the name of a measure at level k, 0 for the coarse band."""
    return f"{measure}_{k or 'coarse'}"


def total_loss(
    parts: Iterable[Part],
    bands: tuple[Tensor, list[Tensor], list[Tensor]],
    reconstruct: Callable[[Tensor, Tensor, int], Tensor],
    seed: keras.random.SeedGenerator,
    training: bool,
    track: Callable[[str, Tensor, Tensor], None],
) -> Tensor:
    """Return the sum of the losses of all networks of some parts.

    Each network gets its gradient from its own term only; the sum itself has
    no meaning.

    Args:
        parts: The parts that learn.
        bands: As of `WaveletPyramid.analyze`.
        reconstruct: `WaveletPyramid.reconstruct`.
        seed: The source of random numbers.
        training: Whether networks are in training mode.
        track: Called with the name, value and batch size of everything
            that is reported.
    """
    batch = ops.cast(ops.shape(bands[0])[0], "float32")
    total = 0.0
    for part in parts:
        sums = {}
        for k in part.levels:
            result = _loss_at(part, k, bands, reconstruct, seed, training)
            for key, loss in result.losses.items():
                if part.factor.learns(key):
                    sums[key] = sums.get(key, 0.0) + loss
            for measure in part.factor.measures:
                value = getattr(result, measure)
                if value is not None:
                    track(measured_at(measure, k), value, batch)
        for role in part.roles:
            if role.key in sums:
                track(f"{role.name}_loss", sums[role.key], batch)
                total = total + sums[role.key]
    return total


def _loss_at(part, k, bands, reconstruct, seed, training):
    """Return the loss of a part's factor at one level."""
    coarse, details, conditions = bands
    return part.factor.loss(
        target=details[k - 1] if k else coarse,
        condition=conditions[k - 1] if k else None,
        k=k,
        reconstruct=lambda c, h: reconstruct(c, h, k),
        seed=seed,
        training=training,
    )
