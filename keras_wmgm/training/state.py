"""What a model knows of its training beside its weights."""

from typing import Any

import keras
import numpy as np

from keras_wmgm.training.averages import Averages
from keras_wmgm.training.parts import Role


class TrainingState:
    """What a model knows of its training, and Keras is to leave alone.

    Attributes:
        averages: The averages of the weights.
        active: The roles that learn now.
        compiled: The roles that Keras's functions `"train"` and `"test"` were
            compiled for.
        arguments: What else `compile` was told.
        measured: The names of what was measured, by the roles that learned: a
            factor may leave out the loss of a role that does not.
    """

    def __init__(self):
        self.averages = Averages([])
        self.active: tuple[Role, ...] = ()
        self.compiled: dict[str, tuple[Role, ...]] = {}
        self.arguments: dict[str, Any] = {}
        self.measured: dict[tuple[Role, ...], set[str]] = {}


def save_state(model: keras.Model, store: dict[str, np.ndarray]) -> None:
    """Write random states, the epoch, and which weights the networks hold.

    Args:
        model: A compiled `MultiscaleModel`.
        store: What is saved, by name.
    """
    for i, state in enumerate(_random_states(model)):
        store[f"random_{i}"] = keras.ops.convert_to_numpy(state)
    store["epochs_trained"] = np.asarray(model.epochs_trained)
    store["averaged"] = np.asarray(int(model.averaged))


def load_state(model: keras.Model, store: dict[str, np.ndarray]) -> None:
    """Read what `save_state` wrote; a file without it changes nothing."""
    states = _random_states(model)
    if f"random_{len(states) - 1}" not in store:
        return
    for i, state in enumerate(states):
        state.assign(store[f"random_{i}"])
    model.epochs_trained = int(np.asarray(store["epochs_trained"]))
    averaged = bool(np.asarray(store["averaged"]))
    model.training_state.averages.loaded(averaged)


def _random_states(model):
    known = {id(v) for v in (*model.weights, *model.metrics_variables)}
    return [v for v in model.variables if id(v) not in known]
