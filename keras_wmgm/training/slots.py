"""The state that optimizers keep per variable, and how to copy it."""

from collections.abc import Iterable

import keras

AVERAGE = "_model_variables_moving_average"


def slots(optimizer: keras.optimizers.Optimizer) -> dict[str, list]:
    """Return the state of an optimizer that belongs to single variables.

    Moments, averages, ... by name, each a list in the order of the trainable
    variables.
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
    """Copy the state of the variables that two optimizers share.

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
    """Return an optimizer of exactly these variables.

    If the optimizer was built with others, the result is a new one with the
    same settings and number of steps, and with the state of the variables
    that both share: a built Keras optimizer takes no other variables.
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
