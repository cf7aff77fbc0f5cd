"""Saving: what a `MultiscaleModel` has of files of Keras's own kind."""

from typing import Any

from keras_wmgm.training.state import load_state
from keras_wmgm.training.state import save_state
from keras_wmgm.utils.finite import check_finite


class Saving:
    """The part of `MultiscaleModel` that saves all that training needs."""

    def save(self, filepath: Any, *args, **kwargs) -> None:
        """Save as Keras does, but no model whose training has failed.

        Raises:
            ValueError: If weights, averages or the state of an optimizer are
                not finite. What was saved before is kept.
        """
        self._prepare("save")
        super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args, **kwargs) -> None:
        """Save weights as Keras does; refuses what `save` refuses."""
        self._prepare("save_weights")
        super().save_weights(filepath, *args, **kwargs)

    def _prepare(self, what):
        self.training_state.averages.settle()
        optimizer = self.optimizer.variables if self.compiled else []
        check_finite([*self.weights, *optimizer], what)

    def save_own_variables(self, store) -> None:
        """Save what training needs beyond weights and moments.

        So Keras's own files (`save`, `ModelCheckpoint`, `BackupAndRestore`)
        resume exactly.
        """
        if self.compiled:
            save_state(self, store)

    def load_own_variables(self, store) -> None:
        load_state(self, store)
