"""What optimizers know of each variable, handed on from one to another."""

from collections.abc import Iterable

import keras

AVERAGE = "_model_variables_moving_average"


def slots(optimizer: keras.optimizers.Optimizer) -> dict[str, list]:
    """Return an optimizer's variables that belong to one that it steps.

    Moments, averages, ... by name, each a list in the order of what is
    stepped.
    """
    count = len(optimizer._trainable_variables)
    return {
        name: values
        for name, values in vars(optimizer).items()
        if name not in ("_variables", "_trainable_variables")
        and isinstance(values, list)
        and len(values) == count > 0
        and all(v is None or isinstance(v, keras.Variable) for v in values)
    }


def hand_on(
    old: keras.optimizers.Optimizer,
    new: keras.optimizers.Optimizer,
    names: Iterable[str],
) -> None:
    """Copy what one optimizer knows of the variables that both step.

    Args:
        old: A built optimizer.
        new: Another one.
        names: Which of `slots`.
    """
    places = {id(v): i for i, v in enumerate(old._trainable_variables)}
    source, target = slots(old), slots(new)
    for name in names:
        for variable, slot in zip(
            new._trainable_variables, target[name], strict=True
        ):
            place = places.get(id(variable))
            value = None if place is None else source[name][place]
            if slot is not None and value is not None:
                slot.assign(value)


def fitted(
    optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]
) -> keras.optimizers.Optimizer:
    """Return an optimizer of just these variables.

    It is the same one if it steps them already. Otherwise it is a new one with
    the same settings and number of steps, and what the old one knows of those
    that both step: Keras's optimizers take neither more nor fewer variables
    than they were built with.
    """
    known = [id(v) for v in optimizer._trainable_variables]
    if not optimizer.built or known == [id(v) for v in variables]:
        return optimizer
    new = type(optimizer).from_config(optimizer.get_config())
    if variables:
        new.build(variables)
        hand_on(optimizer, new, slots(new))
    for name, value in vars(optimizer).items():
        if isinstance(value, keras.Variable):  # steps, rates, ...
            getattr(new, name).assign(value)
    return new
