"""One optimizer per network, and the average of what each has done."""

from typing import Any

import keras

from keras_wmgm.utils.checks import check_choice

EMA_MOMENTUM = 0.999


def default_optimizers() -> dict[str, keras.optimizers.Optimizer]:
    """Return the paper's optimizers (WMGM, section 4.1), with averaging.

    Adam at 1e-4 for diffusion, AdamW at 1e-4 for the generator and at 1e-5
    for the critic. The networks that draw keep an exponential moving average
    of their weights, which the paper does not mention.
    """
    ema = {"use_ema": True, "ema_momentum": EMA_MOMENTUM}
    return {
        "coarse": keras.optimizers.Adam(1e-4, **ema),
        "detail": keras.optimizers.AdamW(1e-4, **ema),
        "critic": keras.optimizers.AdamW(1e-5),
    }


def optimizers_by_role(
    optimizer: Any, roles: list[str]
) -> dict[str, keras.optimizers.Optimizer]:
    """Return an optimizer of its own for every role.

    Args:
        optimizer: `None` for the default; anything `keras.optimizers.get`
            knows, of which every role gets a copy; or a dictionary of such,
            by role (`"detail_2"`) or by kind of role (`"detail"`).
        roles: Names of the networks.
    """
    given = default_optimizers()
    if isinstance(optimizer, dict) and "class_name" not in optimizer:
        kinds = {role: None for role in roles}
        kinds.update({_kind(role): None for role in roles})
        for key, value in optimizer.items():
            given[check_choice("optimizer", key, kinds)] = value
    elif optimizer is not None:
        given = {_kind(role): optimizer for role in roles}
    return {role: _copy(given.get(role, given[_kind(role)])) for role in roles}


def _kind(role):
    """Return `"detail"` for `"detail_2"`."""
    return role.rstrip("0123456789").rstrip("_")


def _copy(optimizer):
    """Return a new optimizer: two roles must not share their moments."""
    optimizer = keras.optimizers.get(optimizer)
    if optimizer is None or isinstance(
        optimizer, keras.optimizers.MultiOptimizer
    ):
        raise ValueError(
            "An optimizer must be one that Keras knows, and no "
            f"`MultiOptimizer`. Received: {optimizer!r}"
        )
    return type(optimizer).from_config(optimizer.get_config())


class RoleOptimizer(keras.optimizers.MultiOptimizer):
    """Keras's `MultiOptimizer`, with variables told apart by identity.

    Paths do not tell the networks of a functional model apart. What ends a
    `fit` with averaged weights is left to the model, which swaps them in and
    keeps the raw ones.

    Args:
        optimizers: The optimizers by role.
        networks: The networks by role.
    """

    def __init__(self, optimizers: dict, networks: dict):
        owner = {
            id(variable): optimizers[role]
            for role, network in networks.items()
            for variable in network.trainable_variables
        }
        super().__init__(lambda variable: owner[id(variable)])

    def finalize_variable_values(self, var_list):
        pass

    # The optimizers of the roles save themselves; Keras would have their
    # variables in the file a second time.

    def save_own_variables(self, store):
        for i, variable in enumerate(self._variables):
            store[str(i)] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        for i, variable in enumerate(self._variables):
            variable.assign(store[str(i)])


def swap_average(optimizer: keras.optimizers.Optimizer) -> None:
    """Exchange an optimizer's variables and their moving average.

    Before the first step there is no average, and nothing is done.
    """
    steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
    if not (optimizer.use_ema and optimizer.built and steps):
        return
    pairs = zip(
        optimizer._trainable_variables,
        optimizer._model_variables_moving_average,
        strict=True,
    )
    for variable, average in pairs:
        raw = keras.ops.convert_to_numpy(variable)
        variable.assign(average)
        average.assign(raw)
