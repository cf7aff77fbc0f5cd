"""Ctrl-C and failures, met where a model is whole."""

import signal
import sys
import threading

import keras
import numpy as np

from keras_wmgm.utils.streams import say


class Interrupts:
    """Hold Ctrl-C back while a step is done; a second one stops at once.

    A step that is broken off leaves some weights stepped and others not, and
    on JAX no weights at all: the step has taken their arrays, and what it
    gives back is lost. Only Python's own handler is held back: who has set
    another, as `StopOnSignal` does, is told as ever.

    Example:

    ```python
    with Interrupts() as interrupts:
        for batch in batches:
            step(batch)
            interrupts.check()
    ```
    """

    def __init__(self):
        self.pending = False
        self._held = False

    def __enter__(self):
        main = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGINT)
        if main and handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._hear)
            self._held = True
        return self

    def __exit__(self, kind, error, traceback):
        if self._held:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.check()

    def _hear(self, number, frame):
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True
        say(
            "Stopping after this step. Press Ctrl-C again to stop at once.",
            sys.stderr,
        )

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C has been pressed."""
        if self.pending:
            self.pending = False
            raise KeyboardInterrupt


class RestoredOnError:
    """Give a model its variables back if an error takes them.

    Keras's JAX trainer takes the arrays out of a model's variables while it
    runs, and an error leaves the variables empty. On other backends nothing is
    taken, so nothing is kept.

    Args:
        model: The model.
        optimizer: Whether its optimizer's variables may be taken, too.
    """

    def __init__(self, model: keras.Model, optimizer: bool = False):
        self.model = model
        self.optimizer = optimizer
        self.values: list[tuple[keras.Variable, np.ndarray]] = []

    def __enter__(self):
        self.keep()
        return self

    def keep(self) -> None:
        """Keep the values that the variables have now."""
        if keras.backend.backend() == "jax":
            # Copies: an array may be handed on to be overwritten.
            self.values = [
                (v, np.array(keras.ops.convert_to_numpy(v)))
                for v in self._variables()
            ]

    def _variables(self):
        own = self.model.optimizer.variables if self.optimizer else []
        return [*self.model.variables, *own]

    def __exit__(self, kind, error, traceback):
        if kind is not None and any(_is_lost(v) for v, _ in self.values):
            self.model._jax_state = None  # the trainer's own copy, lost too
            for variable, value in self.values:
                variable.assign(value)
        self.values = []


def _is_lost(variable):
    try:
        keras.ops.convert_to_numpy(variable)
    except (RuntimeError, TypeError):
        return True
    return False
