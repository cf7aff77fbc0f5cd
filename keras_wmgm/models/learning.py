"""Learning: how a `MultiscaleModel` is trained and evaluated."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.models.role_optimizer import RoleOptimizer
from keras_wmgm.models.role_optimizer import optimizers_by_role
from keras_wmgm.models.role_optimizer import swap_average
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.images import as_pixels
from keras_wmgm.utils.images import is_array
from keras_wmgm.utils.images import to_pixels

TEST_SEED = 0x5EED
"""`evaluate` draws from this, so that two evaluations can be compared."""


class _Untracked:
    """A place for attributes that Keras is not to track, save or walk."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Learning:
    """The part of `MultiscaleModel` that learns."""

    def _init_learning(self, seed):
        self.train_seed = keras.random.SeedGenerator(seed)
        self.test_seed = keras.random.SeedGenerator(TEST_SEED)
        self.trackers = {
            name: keras.metrics.Mean(name) for name in self._measure_names()
        }
        self.epochs_trained = 0
        # The optimizers by role; whether the networks hold their averages;
        # the factors that are trained; the other arguments of `compile`.
        self._training = _Untracked(
            optimizers={}, averaged=False, active=None, arguments={}
        )

    def compile(self, optimizer: Any = None, **kwargs) -> None:
        """Set how the model learns.

        Args:
            optimizer: `None` for the paper's (Adam 1e-4 for diffusion, AdamW
                1e-4 for generators, AdamW 1e-5 for critics, and an average of
                the weights that draw); anything `keras.optimizers.get` knows,
                of which every network gets a copy; or a dictionary of such,
                by role as in `networks`, or by kind: `"coarse"`, `"detail"`,
                `"critic"`.
            **kwargs: `keras.Model.compile`'s `run_eagerly`,
                `steps_per_execution`, `jit_compile`.

        Raises:
            ValueError: For unknown roles, and under `mixed_float16`: use
                `mixed_bfloat16`, which needs no scaling of the loss.
        """
        _refuse_float16(self.dtype_policy)
        for factor in self.factors.values():
            if hasattr(factor, "build_critic"):
                factor.build_critic()
        state = self._training
        state.optimizers = optimizers_by_role(optimizer, list(self.networks))
        state.averaged = False
        state.arguments = kwargs
        self._compile_active(tuple(self.factors))
        self._compile_config = keras.saving.serialize_keras_object(
            {"optimizer": optimizer, **kwargs}
        )

    def get_compile_config(self) -> dict | None:
        return self._compile_config if self.compiled else None

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def _compile_active(self, names):
        """Compile so that only these factors' networks are trained.

        The optimizers of each role are kept, with their moments.
        """
        active = {role for name in names for role in self._roles_of(name)}
        trained = {r: n for r, n in self.networks.items() if r in active}
        state, config = self._training, getattr(self, "_compile_config", None)
        optimizer = RoleOptimizer(state.optimizers, trained)
        super().compile(optimizer=optimizer, **state.arguments)
        self._compile_config = config
        optimizer.build(self.trainable_variables)
        state.active = names

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
        bands = self.pyramid.analyze(as_pixels(x))
        seed = self.train_seed if training else self.test_seed
        total = 0.0
        for name in self._training.active:
            total = total + self._factor_loss(name, bands, seed, training)
        return total

    def _factor_loss(self, name, bands, seed, training):
        """Return the sum of one factor's losses over its levels."""
        coarse, details, conditions = bands
        factor, sums = self.factors[name], {}
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
            self.trackers[_ratio_name(k)].update_state(result.std_ratio)
        for role, loss in sums.items():
            self.trackers[f"{self._role(name, role)}_loss"].update_state(loss)
        return sum(sums.values())

    def _levels_of(self, name):
        if name == "coarse":
            return [0]
        if name == "detail":
            return range(1, self.num_levels + 1)
        return [int(name.removeprefix("detail_"))]

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
        levels = [k for name in names for k in self._levels_of(name)]
        return losses + [_ratio_name(k) for k in levels]

    def get_metrics_result(self) -> dict:
        names = self._training.active or tuple(self.factors)
        shown = {f"{r}_loss" for n in names for r in self._roles_of(n)}
        shown |= {_ratio_name(k) for n in names for k in self._levels_of(n)}
        result = super().get_metrics_result()
        return {
            name: value
            for name, value in result.items()
            if name in shown or name not in self.trackers
        }

    def fit(self, x: Any = None, *, factors=None, **kwargs):
        """Learn from images; `keras.Model.fit` with one argument more.

        An array is shuffled by epoch, from the model's seed. When it ends,
        the networks that draw hold the averages of their weights if their
        optimizers keep any; the next `fit` goes on from the raw ones.

        Args:
            x: Images, uint8 or floats in [-1, 1]: an array, a
                `tf.data.Dataset`, a `keras.utils.PyDataset`, a torch
                `DataLoader`, or a generator of batches.
            factors: Names of the factors to train, as in `factors`, or
                `"detail"` for all details; the others are left untouched.
                Defaults to all.
            **kwargs: `keras.Model.fit`'s.

        Returns:
            Keras's `History`.

        Raises:
            ValueError: For images of another shape, not finite or out of
                range, for no images, and for a one-shot iterator before
                `adapt`.
        """
        self._check_compiled("fit")
        names = self._check_factors(factors)
        if is_array(x):
            self._check_array(x)
        if not self.adapted:
            _check_reiterable(x)
            self.adapt(x)
        if is_array(x):
            shuffle = kwargs.pop("shuffle", True)
            batch_size = kwargs.pop("batch_size", None) or 32
            x = ImageBatches(x, batch_size, shuffle, seed=self.seed)
        if isinstance(x, ImageBatches):
            kwargs["shuffle"] = False  # Keras's has no seed
        kwargs["callbacks"] = [
            *_as_list(kwargs.get("callbacks")),
            _Epochs(x),
        ]
        return self._fit(x, names, kwargs)

    def _fit(self, x, names, kwargs):
        self.use_average(False)
        frozen = self._freeze_all_but(names)
        try:
            if names != self._training.active:
                self._compile_active(names)
            history = super().fit(x, **kwargs)
        finally:
            for layer, trainable in frozen:
                layer.trainable = trainable
            if names != tuple(self.factors):
                self._compile_active(tuple(self.factors))
        self.use_average(True)
        return history

    def _freeze_all_but(self, names):
        """Freeze other factors' networks; return what to set back."""
        active = {role for name in names for role in self._roles_of(name)}
        layers = [
            layer
            for role, network in self.networks.items()
            if role not in active
            for layer in (network, *network.layers)
        ]
        before = [(layer, layer.trainable) for layer in layers]
        for layer in layers:
            layer.trainable = False
        return before

    @property
    def averaged(self) -> bool:
        """Whether the networks hold the averages of their weights."""
        return self._training.averaged

    def use_average(self, averaged: bool) -> None:
        """Put the averaged weights into the networks, or the raw ones back.

        Nothing happens where no optimizer keeps an average, or where the
        networks hold what is asked for.
        """
        if averaged == self._training.averaged:
            return
        for optimizer in self._training.optimizers.values():
            swap_average(optimizer)
        self._training.averaged = averaged

    def evaluate(self, x: Any = None, **kwargs):
        """Return what `fit` reports, on held-out images.

        Everything random comes from a seed of its own, which starts anew with
        every call, so results can be compared, and training's is left alone.
        """
        self._check_compiled("evaluate")
        self._check_adapted("evaluate")
        if is_array(x):
            self._check_array(x)
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

    def _check_factors(self, factors):
        if factors is None:
            return tuple(self.factors)
        if isinstance(factors, str):
            factors = (factors,)
        known = tuple(self.factors)
        chosen = set()
        for name in factors:
            check_choice("factors", name, (*known, "detail"))
            details = [n for n in known if n != "coarse"]
            chosen |= set(details) if name == "detail" else {name}
        if not chosen:
            raise ValueError(
                f"`factors` must name one of {known}. Received: {factors!r}"
            )
        return tuple(name for name in known if name in chosen)

    def _check_array(self, images):
        if not len(images.shape) or not images.shape[0]:
            raise ValueError(
                "At least one image is needed. "
                f"Received: shape={tuple(images.shape)}"
            )
        self.pyramid.check_images(images.shape)
        for start in range(0, len(images), 1024):
            to_pixels(images[start : start + 1024])

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
        store["averaged"] = np.asarray(int(self._training.averaged))

    def load_own_variables(self, store) -> None:
        states = self._random_states()
        if f"random_{len(states) - 1}" not in store:
            return
        for i, state in enumerate(states):
            state.assign(store[f"random_{i}"])
        self.epochs_trained = int(np.asarray(store["epochs_trained"]))
        self._training.averaged = bool(np.asarray(store["averaged"]))

    def _random_states(self):
        weights = {id(v) for v in (*self.weights, *self.metrics_variables)}
        return [v for v in self.variables if id(v) not in weights]


class _Epochs(keras.callbacks.Callback):
    """Count epochs over several `fit`s, and tell the data which it is."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch, logs=None):
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.model.epochs_trained = epoch + 1


def _ratio_name(k):
    return f"std_ratio_{k}" if k else "std_ratio_coarse"


def _refuse_float16(policy):
    names = (policy.name, keras.config.dtype_policy().name)
    if any("float16" in n and "bfloat16" not in n for n in names):
        raise ValueError(
            "Training in float16 is not supported, since several losses "
            "share one gradient and none could be scaled; use "
            "`mixed_bfloat16` or `float32`. "
            f"Received: dtype policy {names[0]}"
        )


def _check_reiterable(x):
    if x is None or iter_is_itself(x):
        raise ValueError(
            "The model has no band statistics yet, and reading them from a "
            "one-shot iterator would use it up: call `adapt(images)` first, "
            f"or pass data that can be read twice. Received: {type(x)}"
        )


def iter_is_itself(x) -> bool:
    """Whether `x` is an iterator, which can be read once only."""
    return hasattr(x, "__next__")


def _as_list(callbacks):
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return list(callbacks) if isinstance(callbacks, list) else [callbacks]
