"""Learning: how a `MultiscaleModel` is trained and evaluated."""

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.models.role_optimizer import Averages
from keras_wmgm.models.role_optimizer import RoleOptimizer
from keras_wmgm.models.role_optimizer import kind_of
from keras_wmgm.models.role_optimizer import level_of
from keras_wmgm.models.role_optimizer import optimizers_by_role
from keras_wmgm.models.training_data import EpochCounter
from keras_wmgm.models.training_data import check_arguments
from keras_wmgm.models.training_data import check_data
from keras_wmgm.models.training_data import check_reiterable
from keras_wmgm.models.training_data import check_validation
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.images import is_array
from keras_wmgm.utils.untracked import Untracked

TEST_SEED = 0x5EED
"""`evaluate` draws from this, so that two evaluations can be compared."""


class Learning:
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

    def compile(
        self,
        optimizer: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
    ) -> None:
        """Set how the model learns.

        Call it again after changing what is `trainable`.

        Args:
            optimizer: `None` for the paper's (Adam 1e-4 for diffusion, AdamW
                1e-4 for generators, AdamW 1e-5 for critics, and an average of
                the weights that draw); anything `keras.optimizers.get` knows,
                of which every network gets a copy; or a dictionary of such,
                by role as in `networks`, or by kind: `"coarse"`, `"detail"`,
                `"critic"`, `"guide"`.
            run_eagerly: As of `keras.Model.compile`.
            steps_per_execution: As of `keras.Model.compile`.
            jit_compile: As of `keras.Model.compile`.

        Raises:
            ValueError: For unknown roles, and under `mixed_float16`: use
                `mixed_bfloat16`, which needs no scaling of the loss.

        Example:

        ```python
        model.compile({
            "coarse": keras.optimizers.Adam(5e-4, use_ema=True),
            "detail": keras.optimizers.Adam(2e-4, beta_1=0.5, use_ema=True),
            "critic": keras.optimizers.Adam(2e-4, beta_1=0.5),
        })
        ```
        """
        for factor in self.factors.values():
            factor.prepare_training()
        self._refuse_float16()
        by_role = optimizers_by_role(optimizer, list(self.networks))
        arguments = {
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        made = RoleOptimizer(by_role, self.networks)
        super().compile(optimizer=made, **arguments)
        self._training.arguments = arguments
        self.optimizer.build(self.trainable_variables)
        self._training.averages = Averages(by_role.values())
        self._set_active(tuple(self.networks))
        self._training.functions = {}

    def _refuse_float16(self):
        networks = self.networks.values()
        layers = [layer for n in networks for layer in (n, *n.layers)]
        names = {layer.dtype_policy.name for layer in (self, *layers)}
        halves = {n for n in names if n.endswith("float16") and "bf" not in n}
        if halves:
            raise ValueError(
                "Training in float16 is not supported, since several losses "
                "share one gradient and none could be scaled; use "
                "`mixed_bfloat16` or `float32`. "
                f"Received: dtype policy {halves.pop()}"
            )

    def get_compile_config(self) -> dict | None:
        if not self.compiled:
            return None
        # As they are by now: rates may have changed since `compile`.
        optimizer = self.optimizer.by_role
        return keras.saving.serialize_keras_object(
            {"optimizer": optimizer, **self._training.arguments}
        )

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def compute_loss(
        self,
        x=None,
        y=None,
        y_pred=None,
        sample_weight=None,
        training: bool = True,
    ) -> Tensor:
        """Return the sum of the losses of all networks that are trained.

        Each network gets its gradient from its own term alone, so the sum has
        no meaning of its own: watch the terms.
        """
        self.pyramid.check_images(x.shape)
        bands = self(x) if y_pred is None else y_pred
        seed = self.train_seed if training else self.test_seed
        total = 0.0
        for name in self._active_factors():
            total = total + self._factor_loss(name, bands, seed, training)
        return total

    def _active_factors(self):
        """Return the names of the factors with a role that is trained."""
        active = set(self._training.active)
        return [
            name
            for name in self.factors
            if active.intersection(self._roles_of(name))
        ]

    def _factor_loss(self, name, bands, seed, training):
        """Return the sum of one factor's losses over its levels."""
        coarse, details, conditions = bands
        factor, sums = self.factors[name], {}
        batch = ops.cast(ops.shape(coarse)[0], "float32")
        for k in self._levels_of(name):
            result = factor.loss(
                target=details[k - 1] if k else coarse,
                condition=conditions[k - 1] if k else None,
                k=k,
                reconstruct=self._reconstruct(k),
                seed=seed,
                training=training,
            )
            for role, loss in result.losses.items():
                sums[role] = sums.get(role, 0.0) + loss
            for measure in factor.measures:
                value = getattr(result, measure)
                self._track(_measured_at(measure, k), value, batch)
        for role, loss in sums.items():
            self._track(f"{self._role(name, role)}_loss", loss, batch)
        return sum(sums.values())

    def _track(self, name, value, batch):
        active = self._training.active
        self._training.measured.setdefault(active, set()).add(name)
        self.trackers[name].update_state(value, sample_weight=batch)

    def _levels_of(self, name):
        if name == "coarse":
            return [0]
        if name == "detail":
            return range(1, self.num_levels + 1)
        return [level_of(name)]

    def _reconstruct(self, k):
        def reconstruct(condition, detail):
            return self.pyramid.reconstruct(condition, detail, k)

        return reconstruct

    def _measure_names(self):
        """Return the names of what `fit` reports, the losses first."""
        names = list(self.factors)
        losses = [
            f"{role}_loss" for name in names for role in self._roles_of(name)
        ]
        return losses + self._measures_of(names)

    def _measures_of(self, names):
        return [
            _measured_at(measure, k)
            for name in names
            for k in self._levels_of(name)
            for measure in self.factors[name].measures
        ]

    def get_metrics_result(self) -> dict:
        names = self._active_factors()
        shown = {f"{r}_loss" for n in names for r in self._roles_of(n)}
        shown.update(self._measures_of(names))
        shown &= self._training.measured.get(self._training.active, shown)
        result = super().get_metrics_result()
        return {
            name: value
            for name, value in result.items()
            if name in shown or name not in self.trackers
        }

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


def _measured_at(measure, k):
    return f"{measure}_{k or 'coarse'}"


def _as_list(value):
    """Return `None` as an empty list, and one thing as a list of it."""
    if value is None:
        return []
    if isinstance(value, keras.callbacks.CallbackList):
        return list(value.callbacks)
    return list(value) if isinstance(value, (list, tuple)) else [value]
