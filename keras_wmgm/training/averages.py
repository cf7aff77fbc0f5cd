"""The averages of weights that optimizers keep, and swapping them in."""

import zlib
from collections.abc import Iterable

import keras
import numpy as np

from keras_wmgm.training.slots import AVERAGE
from keras_wmgm.training.slots import hand_on


class Averages:
    """The averaged weights of some optimizers.

    The networks hold either the averages or the raw weights.

    Args:
        optimizers: Optimizers; only those with `use_ema` have averages.
        shown: Whether the networks hold the averages now.
    """

    def __init__(
        self,
        optimizers: Iterable[keras.optimizers.Optimizer],
        shown: bool = False,
    ):
        self.optimizers = list(optimizers)
        self.shown = shown
        self._marks = {}

    def show(self, shown: bool) -> None:
        """Put the averages into the networks, or the raw weights back.

        Before the first step there are no averages, and this does nothing. A
        weight that was set by someone else while the averages were shown is
        kept: it is the new raw weight, and its average starts from it. One
        that is set while the raw weights are shown is not noticed.
        """
        if shown == self.shown:
            return
        pairs = [p for o in self.optimizers for p in averaged_variables(o)]
        for variable, average in pairs:
            self._swap(variable, average)
        self.shown = shown and bool(pairs)

    def loaded(self, shown: bool) -> None:
        """Note whether weights that were just loaded are the averages."""
        self.shown = shown and any(o.use_ema for o in self.optimizers)
        self._marks.clear()

    def settle(self) -> None:
        """Make weights that were set from outside the raw ones, for a file."""
        for optimizer in self.optimizers if self.shown else ():
            for variable, average in averaged_variables(optimizer):
                value = np.array(keras.ops.convert_to_numpy(variable))
                mark = self._marks.get(id(variable))
                if mark is not None and mark != _mark(value):
                    average.assign(value)
                    self._marks[id(variable)] = _mark(value)

    def _swap(self, variable, average):
        # A copy: on torch the array would change with the variable.
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


def take_over(
    before: Averages, optimizers: Iterable[keras.optimizers.Optimizer]
) -> Averages:
    """Return the averages of new optimizers, with the values so far.

    Drawing does not change: an average that no new optimizer keeps becomes
    the weight itself.

    Args:
        before: The averages so far.
        optimizers: The new optimizers, all built.
    """
    optimizers, shown = list(optimizers), before.shown
    before.show(False)
    for old in before.optimizers:
        pairs = averaged_variables(old)
        for new in optimizers:
            if pairs and new is not old and new.use_ema and new.built:
                hand_on(old, new, [AVERAGE])
    made = Averages(optimizers)
    kept = {id(v) for o in optimizers for v, _ in averaged_variables(o)}
    for old in before.optimizers:
        for variable, average in averaged_variables(old):
            if shown and id(variable) not in kept:
                variable.assign(average)
    made.show(shown)
    return made


def averaged_variables(
    optimizer: keras.optimizers.Optimizer,
) -> list[tuple[keras.Variable, keras.Variable]]:
    """Return pairs of a variable and its average.

    There are none before the first step: until then, Keras's averages are
    zeros.
    """
    if not (optimizer.use_ema and optimizer.built):
        return []
    pairs = [
        (variable, average)
        for variable, average in zip(
            optimizer._trainable_variables,
            optimizer._model_variables_moving_average,
            strict=True,
        )
        if average is not None
    ]
    begun = any(np.any(keras.ops.convert_to_numpy(a)) for _, a in pairs)
    return pairs if begun else []


def _mark(value):
    return zlib.crc32(value.tobytes())
