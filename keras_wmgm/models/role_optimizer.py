"""One optimizer per network, and the average of what each has done."""

import zlib
from typing import Any

import keras
import numpy as np

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
        "guide": keras.optimizers.Adam(1e-4, **ema),
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
        kinds = {**dict.fromkeys(roles), **dict.fromkeys(map(kind_of, roles))}
        for key, value in optimizer.items():
            given[check_choice("optimizer", key, kinds)] = value
    elif optimizer is not None:
        given = dict.fromkeys(map(kind_of, roles), optimizer)
    fallback = given.get("detail", optimizer)
    return {
        role: _copy(given.get(role, given.get(kind_of(role), fallback)))
        for role in roles
    }


def kind_of(role: str) -> str:
    """Return `"detail"` for `"detail_2"`, `"guide"` for `"guide_coarse"`."""
    return role.partition("_")[0]


def level_of(role: str) -> int | None:
    """Return the k of `"detail_k"`, and `None` for everything else."""
    kind, _, level = role.partition("_")
    return int(level) if kind == "detail" and level.isdecimal() else None


def _copy(optimizer):
    """Return a new optimizer: two roles must not share their moments."""
    made = keras.optimizers.get(optimizer)
    wrappers = (
        keras.optimizers.MultiOptimizer,
        keras.optimizers.LossScaleOptimizer,
    )
    if made is None or isinstance(made, wrappers):
        raise ValueError(
            "An optimizer must be one that Keras knows, and no wrapper of "
            f"others. Received: {optimizer!r}"
        )
    return type(made).from_config(made.get_config())


class RoleOptimizer(keras.optimizers.MultiOptimizer):
    """Keras's `MultiOptimizer` for networks with a role each.

    Variables are told apart by identity, since paths do not tell the networks
    of a functional model apart. Only the roles in `active` are stepped; the
    others keep their weights and moments. What Keras does when a `fit` ends,
    overwrite weights by their averages, is left to the model, which keeps the
    raw ones.

    Args:
        optimizers: The optimizers by role.
        networks: The networks by role.
    """

    def __init__(self, optimizers: dict, networks: dict):
        role_of = {
            id(variable): role
            for role, network in networks.items()
            for variable in network.trainable_variables
        }
        super().__init__(lambda v: optimizers[role_of[id(v)]])
        self.active = frozenset(networks)
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

    # The optimizers of the roles save themselves; Keras would have their
    # variables in the file a second time.

    def save_own_variables(self, store):
        for i, variable in enumerate(self._variables):
            store[str(i)] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        if len(store.keys()) != len(self._variables):
            return  # weights of a model that was not compiled
        for i, variable in enumerate(self._variables):
            variable.assign(store[str(i)])


def _apply(optimizer, gradients, variables):
    """Step an optimizer whose average forgets the first steps sooner.

    With a momentum of 0.999 from the start, the average of a run of a hundred
    steps would still be made of weights from before it learned anything.
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


class Averages:
    """The averaged weights of some optimizers, in their networks or out.

    Args:
        optimizers: Optimizers, of which those with `use_ema` matter.
    """

    def __init__(self, optimizers):
        self.optimizers = list(optimizers)
        self.shown = False
        self._marks = {}

    def show(self, shown: bool) -> None:
        """Put the averages into the networks, or the raw weights back.

        Before the first step there is no average, and nothing is done. A
        weight that was set from outside while the averages were shown is not
        overwritten: it is the new raw weight, and its average starts anew.
        """
        if shown == self.shown:
            return
        for optimizer in self.optimizers:
            steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
            if optimizer.use_ema and optimizer.built and steps:
                for variable, average in _pairs(optimizer):
                    self._swap(variable, average)
        self.shown = shown

    def _swap(self, variable, average):
        # A copy: on torch NumPy sees what is assigned later.
        value = np.array(keras.ops.convert_to_numpy(variable))
        mark = self._marks.pop(id(variable), None)
        if mark is not None and mark != _mark(value):
            average.assign(value)
            return
        variable.assign(average)
        average.assign(value)
        if not self.shown:
            new = keras.ops.convert_to_numpy(variable)
            self._marks[id(variable)] = _mark(new)


def _pairs(optimizer):
    pairs = zip(
        optimizer._trainable_variables,
        optimizer._model_variables_moving_average,
        strict=True,
    )
    return [(v, average) for v, average in pairs if average is not None]


def _mark(value):
    return zlib.crc32(value.tobytes())
