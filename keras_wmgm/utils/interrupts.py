"""Ctrl-C and failures that leave a model with its weights."""

import signal
import sys
import threading

import keras
import numpy as np

from keras_wmgm.utils.streams import say


class Interrupts:
    """Delay Ctrl-C until a step is done; a second one stops at once.

    An interrupted step would leave some weights updated and others not. On
    JAX the weights would be lost: the step has taken their arrays and does not
    return new ones. Only Python's default handler is replaced; another one,
    such as that of `StopOnSignal`, stays.

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
    """A context that restores a model's variables after an error.

    Keras's JAX trainer takes the arrays out of a model's variables while it
    runs, and an error leaves the variables empty. On other backends this does
    nothing.

    Args:
        model: The model.
        optimizer: Whether to restore the variables of its optimizer too.
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
            # Copies, as JAX may overwrite the arrays.
            self.values = [
                (v, np.array(keras.ops.convert_to_numpy(v)))
                for v in self._variables()
            ]

    def _variables(self):
        own = self.model.optimizer.variables if self.optimizer else []
        return [*self.model.variables, *own]

    def __exit__(self, kind, error, traceback):
        if kind is not None and any(_is_lost(v) for v, _ in self.values):
            self.model._jax_state = None  # which the trainer would restore
            for variable, value in self.values:
                variable.assign(value)
        self.values = []


def _is_lost(variable):
    try:
        keras.ops.convert_to_numpy(variable)
    except (RuntimeError, TypeError):
        return True
    return False
