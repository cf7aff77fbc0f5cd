"""Learning: how a `MultiscaleModel` is trained and evaluated."""

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.models.compiling import Compiling
from keras_wmgm.models.losses import Losses
from keras_wmgm.models.role_optimizer import Averages
from keras_wmgm.models.role_optimizer import kind_of
from keras_wmgm.models.training_data import EpochCounter
from keras_wmgm.models.training_data import check_arguments
from keras_wmgm.models.training_data import check_data
from keras_wmgm.models.training_data import check_reiterable
from keras_wmgm.models.training_data import check_validation
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.finite import check_finite
from keras_wmgm.utils.images import is_array
from keras_wmgm.utils.untracked import Untracked

TEST_SEED = 0x5EED
"""`evaluate` draws from this, so that two evaluations can be compared."""


class Learning(Compiling, Losses):
    """The part of `MultiscaleModel` that learns."""

    def _init_learning(self, seed):
        self.train_seed = keras.random.SeedGenerator(seed)
        self.test_seed = keras.random.SeedGenerator(TEST_SEED)
        self.trackers = {
            name: keras.metrics.Mean(name) for name in self._measure_names()
        }
        self.epochs_trained = 0
        # The averages of the weights, the roles that are trained, the
        # functions that Keras compiled by the roles they train, what else
        # `compile` was told, and what is measured by the roles that are
        # trained: a factor may leave out the loss of one that is not.
        self._training = Untracked(
            averages=Averages([]),
            active=(),
            functions={},
            arguments={},
            measured={},
        )

    def fit(self, x: Any = None, *, factors: Any = None, **kwargs):
        """Learn from images; `keras.Model.fit` with one argument more.

        An array is shuffled by epoch, from the model's seed. When `fit` ends,
        the networks that draw hold the averages of their weights, if their
        optimizers keep any; the next `fit` goes on from the raw ones. A `fit`
        that is interrupted leaves the raw ones in place: `use_average(True)`
        before drawing.

        Args:
            x: Images, uint8 or floats in [-1, 1]: an array, a
                `tf.data.Dataset`, a `keras.utils.PyDataset`, a torch
                `DataLoader`, or a generator of tuples `(images,)`.
            factors: What to train: names as in `factors`, `"detail"` for all
                details, `"critic"` for all critics, `"guide"` for all
                guides, or roles as in `networks`; all else is left untouched.
                Guides, which are to learn less, are trained only where they
                are named themselves. Defaults to all, guides included.
            **kwargs: `keras.Model.fit`'s.

        Returns:
            Keras's `History`: every network's loss by name, and the ratio of
            spreads of each level. `loss` is their sum, and means nothing.

        Raises:
            ValueError: For images of another shape, not finite or out of
                range, for no images, and for a one-shot iterator before
                `adapt`.
            TypeError: For targets and sample weights.

        Example:

        ```python
        model.fit(images, factors=("coarse",), epochs=50, batch_size=64)
        ```
        """
        self._check_compiled("fit")
        check_arguments("fit", kwargs)
        active = self.trained_roles(factors)
        x = check_data("fit", x, self.image_shape)
        check_validation(kwargs.get("validation_data"), self.image_shape)
        batch_size = kwargs.pop("batch_size", None)
        batch_size = check_optional_count("batch_size", batch_size, 32)
        if not self.adapted:
            check_reiterable(x)
            self.adapt(x)
        if is_array(x):
            shuffle = kwargs.pop("shuffle", True)
            x = ImageBatches(x, batch_size, shuffle, seed=self.seed)
        if isinstance(x, ImageBatches):
            kwargs["shuffle"] = False  # Keras's has no seed
        callbacks = _as_list(kwargs.pop("callbacks", None))
        self.use_average(False)
        self._activate(active)
        try:
            history = super().fit(
                x, callbacks=[EpochCounter(x), *callbacks], **kwargs
            )
        finally:
            self._activate(tuple(self.networks))
        self.use_average(True)
        return history

    def _activate(self, roles):
        """Train these roles only, by functions compiled for just them."""
        functions = self._training.functions
        before = (self.train_function, self.test_function)
        functions[self._training.active] = before
        self._set_active(roles)
        self.optimizer.active = frozenset(roles)
        made = functions.get(roles, (None, None))
        self.train_function, self.test_function = made
        if None in made:
            # JAX finds again what it has compiled for an equal function, and
            # bound methods are equal.
            self.train_step = partial(type(self).train_step, self)
            self.test_step = partial(type(self).test_step, self)

    def _set_active(self, roles):
        """Note which roles are trained, and let the factors know."""
        self._training.active = roles
        for name, factor in self.factors.items():
            factor.learning = frozenset(
                role for role in factor.roles if self._role(name, role) in roles
            )

    @property
    def averaged(self) -> bool:
        """Whether the networks hold the averages of their weights."""
        return self._training.averages.shown

    def use_average(self, averaged: bool) -> None:
        """Put the averaged weights into the networks, or the raw ones back.

        Nothing happens where no optimizer keeps an average, or where the
        networks hold what is asked for.

        Args:
            averaged: Whether the averages are wanted.
        """
        self._training.averages.show(averaged)

    def evaluate(self, x: Any = None, **kwargs):
        """Return what `fit` reports, on held-out images.

        Everything random comes from a seed of its own, which starts anew with
        every call, so results can be compared, and training's is left alone.

        Args:
            x: As of `fit`.
            **kwargs: `keras.Model.evaluate`'s.

        Returns:
            As of `keras.Model.evaluate`: a dictionary with
            `return_dict=True`.

        Raises:
            ValueError: As of `fit`.
        """
        self._check_compiled("evaluate")
        self._check_adapted("evaluate")
        check_arguments("evaluate", kwargs)
        if not isinstance(x, tuple):  # how `fit` hands validation data on
            x = check_data("evaluate", x, self.image_shape)
        if isinstance(x, ImageBatches):
            x = x.images  # all of them, in order
        fresh = keras.random.SeedGenerator(TEST_SEED)
        self.test_seed.state.assign(fresh.state)
        return super().evaluate(x, **kwargs)

    def _check_compiled(self, what):
        if not self.compiled:
            raise ValueError(
                f"Call `compile()` before `{what}()`. "
                "Received: a model that is not compiled"
            )

    def _check_adapted(self, what):
        if not self.adapted:
            raise ValueError(
                f"`{what}` needs the statistics of the bands: call "
                "`adapt(images)` or `fit(images)` first, or load a preset. "
                "Received: a model without"
            )

    def trained_roles(self, factors: Any = None) -> tuple[str, ...]:
        """Return the roles that `fit(factors=...)` trains.

        Args:
            factors: As of `fit`.

        Raises:
            ValueError: For names of no factor and no role.
        """
        if factors is None:
            return tuple(self.networks)
        critics, guides = (
            {role for role in self.networks if kind_of(role) == kind}
            for kind in ("critic", "guide")
        )
        named = {
            name: set(self._roles_of(name)) - guides for name in self.factors
        }
        details = [roles for name, roles in named.items() if name != "coarse"]
        meanings = {role: {role} for role in self.networks}
        for kind, roles in (("critic", critics), ("guide", guides)):
            if roles:
                meanings[kind] = roles
        meanings.update({"detail": set().union(*details), **named})
        chosen = set()
        for name in _as_list(factors):
            chosen |= meanings[check_choice("factors", name, meanings)]
        if not chosen:
            raise ValueError(
                f"`factors` must name one or more of {', '.join(meanings)}. "
                f"Received: factors={factors!r}"
            )
        return tuple(role for role in self.networks if role in chosen)

    def save(self, filepath: Any, *args, **kwargs) -> None:
        """Save as Keras does, but no model whose training has failed.

        Raises:
            ValueError: If weights, averages or the state of an optimizer are
                not finite. What was saved before is kept.
        """
        self._check_finite("save")
        super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args, **kwargs) -> None:
        """Save weights as Keras does; refuses what `save` refuses."""
        self._check_finite("save_weights")
        super().save_weights(filepath, *args, **kwargs)

    def _check_finite(self, what):
        optimizer = self.optimizer.variables if self.compiled else []
        check_finite([*self.weights, *optimizer], what)

    def save_own_variables(self, store) -> None:
        """Save what training needs beyond weights and moments.

        So Keras's own files (`save`, `ModelCheckpoint`, `BackupAndRestore`)
        resume exactly.
        """
        if not self.compiled:
            return
        for i, state in enumerate(self._random_states()):
            store[f"random_{i}"] = ops.convert_to_numpy(state)
        store["epochs_trained"] = np.asarray(self.epochs_trained)
        store["averaged"] = np.asarray(int(self.averaged))

    def load_own_variables(self, store) -> None:
        states = self._random_states()
        if f"random_{len(states) - 1}" not in store:
            return
        for i, state in enumerate(states):
            state.assign(store[f"random_{i}"])
        self.epochs_trained = int(np.asarray(store["epochs_trained"]))
        self._training.averages.shown = bool(np.asarray(store["averaged"]))

    def _random_states(self):
        weights = {id(v) for v in (*self.weights, *self.metrics_variables)}
        return [v for v in self.variables if id(v) not in weights]


def _as_list(value):
    """Return `None` as an empty list, and one thing as a list of it."""
    if value is None:
        return []
    if isinstance(value, keras.callbacks.CallbackList):
        return list(value.callbacks)
    return list(value) if isinstance(value, (list, tuple)) else [value]
