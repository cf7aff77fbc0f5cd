"""One optimizer per role of a model."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_wmgm.training.parts import Role
from keras_wmgm.training.slots import fitted
from keras_wmgm.utils.checks import check_choice


def optimizers_by_role(
    optimizer: Any,
    roles: Iterable[Role],
    before: dict[str, keras.optimizers.Optimizer] | None = None,
) -> dict[str, keras.optimizers.Optimizer]:
    """Return an optimizer for each role.

    Args:
        optimizer: `None` for the defaults; anything that
            `keras.optimizers.get` takes, for a copy per role; or a dictionary
            by role (`"detail_2"`) or by kind of role (`"detail"`).
        roles: The roles.
        before: The optimizers so far, kept for roles that are given none.
    """
    roles, before = list(roles), before or {}
    given = {}
    if isinstance(optimizer, dict) and "class_name" not in optimizer:
        names = dict.fromkeys(n for r in roles for n in (r.name, r.kind))
        for name, value in optimizer.items():
            given[check_choice("optimizer", name, names)] = value
    elif optimizer is not None:
        given = {role.kind: optimizer for role in roles}
    made = {}
    for role in roles:
        own = given.get(role.name, given.get(role.kind))
        if own is not None:
            made[role.name] = _copy(own)
        elif role.name in before:
            made[role.name] = fitted(before[role.name], role.variables)
        else:
            made[role.name] = role.default_optimizer()
    return made


def _copy(optimizer):
    """Return a new optimizer, as two roles must not share moments."""
    made = keras.optimizers.get(optimizer)
    wrappers = (
        keras.optimizers.MultiOptimizer,
        keras.optimizers.LossScaleOptimizer,
    )
    if made is None or isinstance(made, wrappers):
        raise ValueError(
            "An optimizer must be one that `keras.optimizers.get` takes, and "
            f"not a wrapper of others. Received: {optimizer!r}"
        )
    return type(made).from_config(made.get_config())


class RoleOptimizer(keras.optimizers.MultiOptimizer):
    """Keras's `MultiOptimizer`, with one optimizer for each role.

    Variables are matched by identity, as paths may not distinguish the
    networks of a model. Only the roles in `active` are stepped; the others
    keep their weights and moments. When `fit` ends, Keras would overwrite the
    weights with their averages; the model swaps them instead, and keeps the
    raw weights.

    Args:
        optimizers: The optimizers by role.
        variables: The variables that each role learns.
    """

    def __init__(
        self,
        optimizers: dict[str, keras.optimizers.Optimizer],
        variables: dict[str, list[keras.Variable]],
    ):
        role_of = {id(v): name for name, vs in variables.items() for v in vs}
        super().__init__(lambda v: optimizers[role_of[id(v)]])
        self.active = frozenset(variables)
        self._role_of = role_of
        self.by_role = optimizers

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        steps = {role: [] for role in self.by_role if role in self.active}
        for grad, variable in zip(grads, trainable_variables, strict=True):
            role = self._role_of[id(variable)]
            if role in steps:
                steps[role].append((grad, variable))
        for role, pairs in steps.items():
            if pairs:
                gradients, variables = map(list, zip(*pairs, strict=True))
                _apply(self.by_role[role], gradients, variables)
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        pass

    # The optimizers of the roles save themselves. Keras would save their
    # variables a second time here.

    def save_own_variables(self, store):
        for i, variable in enumerate(self._variables):
            store[str(i)] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        if len(store.keys()) != len(self._variables):
            return  # weights of a model that was not compiled
        for i, variable in enumerate(self._variables):
            variable.assign(store[str(i)])


def _apply(optimizer, gradients, variables):
    """Step an optimizer, with a smaller momentum of its averages at first.

    With a momentum of 0.999 from the start, the average after a hundred steps
    would consist mostly of the initial weights.
    """
    momentum = optimizer.ema_momentum
    if optimizer.use_ema:
        steps = keras.ops.cast(optimizer.iterations, "float32")
        growing = (1.0 + steps) / (10.0 + steps)
        optimizer.ema_momentum = keras.ops.minimum(momentum, growing)
    try:
        optimizer.apply(gradients, variables)
    finally:
        optimizer.ema_momentum = momentum
