"""Learning: how a `MultiscaleModel` is trained and evaluated."""

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_wmgm.training.averages import Averages
from keras_wmgm.training.averages import take_over
from keras_wmgm.training.fit_data import check_arguments
from keras_wmgm.training.fit_data import check_reiterable
from keras_wmgm.training.fit_data import held_out_data
from keras_wmgm.training.fit_data import training_data
from keras_wmgm.training.fit_data import validation_data
from keras_wmgm.training.housekeeping import first_callbacks
from keras_wmgm.training.housekeeping import without_swaps
from keras_wmgm.training.losses import reported
from keras_wmgm.training.losses import total_loss
from keras_wmgm.training.precision import refuse_float16
from keras_wmgm.training.role_optimizer import RoleOptimizer
from keras_wmgm.training.role_optimizer import optimizers_by_role
from keras_wmgm.types import Tensor
from keras_wmgm.utils.finite import check_finite
from keras_wmgm.utils.interrupts import Interrupts
from keras_wmgm.utils.interrupts import Kept
from keras_wmgm.utils.seeds import as_keras_seed
from keras_wmgm.utils.untracked import Untracked

TEST_SEED = 0x5EED
"""`evaluate` draws from this, so that two evaluations can be compared."""


class Learning:
    """The part of `MultiscaleModel` that learns."""

    def _init_learning(self, seed):
        self.train_seed = keras.random.SeedGenerator(as_keras_seed(seed))
        self.test_seed = keras.random.SeedGenerator(TEST_SEED)
        self.trackers = {
            name: keras.metrics.Mean(name)
            for part in self.parts
            for name in reported(part)
        }
        self.epochs_trained = 0
        # The averages of the weights, the roles that learn, those that each
        # compiled function is for, what else `compile` was told, and what is
        # measured by the roles that learn: a factor may leave out the loss of
        # one that does not.
        self._training = Untracked(
            averages=Averages([]),
            active=(),
            compiled={},
            arguments={},
            measured={},
        )

    def compile(
        self,
        optimizer: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        **unknown,
    ) -> None:
        """Set how the model learns.

        Call it again after changing what is `trainable`. An optimizer for
        which nothing else is given then stays, with its moments; averages of
        weights stay in any case, and so does what the model draws.

        Args:
            optimizer: `None` for what suits each network
                (`Factor.default_optimizer`); anything `keras.optimizers.get`
                knows, of which every network gets a copy; or a dictionary of
                such, by role as in `networks`, or by kind: `"coarse"`,
                `"detail"`, `"critic"`, `"guide"`.
            run_eagerly: As of `keras.Model.compile`.
            steps_per_execution: As of `keras.Model.compile`.
            jit_compile: As of `keras.Model.compile`.

        Raises:
            ValueError: For unknown roles, and under `mixed_float16`: use
                `mixed_bfloat16`, which needs no scaling of the loss.
            TypeError: For a loss and metrics, which the factors have
                themselves.

        Example:

        ```python
        model.compile({
            "coarse": keras.optimizers.Adam(5e-4, use_ema=True),
            "detail": keras.optimizers.Adam(2e-4, beta_1=0.5, use_ema=True),
            "critic": keras.optimizers.Adam(2e-4, beta_1=0.5),
        })
        ```
        """
        if unknown:
            raise TypeError(
                "`compile` takes no "
                f"{' and no '.join(f'`{name}`' for name in unknown)}: every "
                "factor has its own loss, and reports its own measures. "
                f"Received: {', '.join(unknown)}"
            )
        for part in self.parts:
            part.factor.prepare_training()
        refuse_float16(self, self.networks.values())
        before = self.optimizer.by_role if self.compiled else {}
        by_role = optimizers_by_role(optimizer, self.parts.roles, before)
        arguments = {
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        variables = {role.name: role.variables for role in self.parts.roles}
        made = RoleOptimizer(by_role, variables)
        super().compile(optimizer=made, **arguments)
        self._training.arguments = arguments
        made.build(self.trainable_variables)
        self._training.averages = take_over(
            self._training.averages, by_role.values()
        )
        self._training.compiled = {}
        self._set_active(self.parts.present)

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
        """Return the sum of the losses of all networks that learn.

        Each network gets its gradient from its own term alone, so the sum has
        no meaning of its own: watch the terms.
        """
        self.pyramid.check_images(x.shape)
        return total_loss(
            self._learning_parts(),
            self(x) if y_pred is None else y_pred,
            self.pyramid.reconstruct,
            self.train_seed if training else self.test_seed,
            training,
            self._track,
        )

    def _learning_parts(self):
        names = {role.part.name for role in self._training.active}
        return [part for part in self.parts if part.name in names]

    def _track(self, name, value, batch):
        active = self._training.active
        self._training.measured.setdefault(active, set()).add(name)
        self.trackers[name].update_state(value, sample_weight=batch)

    def get_metrics_result(self) -> dict:
        names = {n for part in self._learning_parts() for n in reported(part)}
        measured = self._training.measured.get(self._training.active, names)
        result = super().get_metrics_result()
        return {
            name: value
            for name, value in result.items()
            if name in names & measured or name not in self.trackers
        }

    def fit(self, x: Any = None, *, factors: Any = None, **kwargs):
        """Learn from images; `keras.Model.fit` with one argument more.

        An array is shuffled by epoch, from the model's seed.

        While an epoch lasts the networks hold their raw weights. At its end,
        and when `fit` ends or is interrupted, they hold the averages, if their
        optimizers keep any: validation, and every callback at the end of an
        epoch, has the weights that draw and that are saved. The next epoch
        goes on from the raw ones. Ctrl-C ends `fit` after the step in hand.

        Held-out images (`validation_data`) are evaluated as by `evaluate`,
        with the averages: `val_loss` is that of the weights that draw.

        Args:
            x: Images, uint8 or floats in [-1, 1]: an array, or batches of
                them from a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
                torch `DataLoader`, a `grain` data set or a generator. A batch
                may be a tuple, of which the first entry is read and labels
                are ignored, or a dictionary with one entry of images.
            factors: What to train: names as in `factors`, `"detail"` for all
                details, `"critic"` for all critics, `"guide"` for all
                guides, or roles as in `networks`; all else is left untouched.
                A factor's name stands for all its networks but its guide,
                which is to learn less; `"draw_1"` is the network alone that
                draws level 1. Defaults to all, guides included.
            **kwargs: `keras.Model.fit`'s. `batch_size` is for arrays. Of an
                array or `ImageBatches`, `steps_per_epoch` leaves out the rest
                of an epoch's order, as `max_batches` does, so it is at most
                one pass. A generator needs it.

        Returns:
            Keras's `History`: every network's loss by name, and the ratio of
            spreads of each level. `loss` is their sum, and means nothing.

        Raises:
            ValueError: For images of another shape, not finite or out of
                range, for no images, for a one-shot iterator before `adapt`,
                and for an epoch that would never end.
            TypeError: For targets and sample weights.
            FloatingPointError: If the loss is not finite and Keras reads the
                data itself (`tf.data`), so that only the first batch was
                checked.

        Warns:
            UserWarning: If no float is below 0, as in images in [0, 1].

        Example:

        ```python
        model.fit(images, factors=("coarse",), epochs=50, batch_size=64)
        ```
        """
        self._check_compiled("fit")
        check_arguments(super().fit, kwargs)
        roles = self.parts.select(factors)
        adapting = not self.adapted
        if adapting:
            check_reiterable(x)
        data, kwargs = training_data(x, self.image_shape, kwargs, self.seed)
        kwargs = validation_data(data, self.image_shape, kwargs)
        if adapting:
            self.adapt(x)
        callbacks = without_swaps(kwargs.pop("callbacks", None))
        self._set_active(roles, "train")
        with Interrupts() as interrupts, Kept(self) as kept:
            first = first_callbacks(x, data, interrupts, kept)
            try:
                return super().fit(
                    data, callbacks=[*first, *callbacks], **kwargs
                )
            except KeyboardInterrupt:
                self.use_average(True)
                raise
            finally:
                self._set_active(self.parts.present)

    def _set_active(self, roles, function=None):
        """Note which roles learn, and let the factors know.

        A function that was compiled for others is made anew.

        Args:
            roles: The roles.
            function: `"train"`, `"test"` or `None`: what is called next.
        """
        self._training.active = roles
        self.optimizer.active = frozenset(role.name for role in roles)
        for part in self.parts:
            part.factor.learning = frozenset(
                role.key for role in part.roles if role in roles
            )
        if function is None or self._training.compiled.get(function) == roles:
            return
        self._training.compiled[function] = roles
        # JAX finds again what it has compiled for an equal function, and
        # bound methods are equal.
        step = partial(getattr(type(self), f"{function}_step"), self)
        setattr(self, f"{function}_step", step)
        setattr(self, f"{function}_function", None)

    @property
    def averaged(self) -> bool:
        """Whether the networks hold the averages of their weights.

        False where no optimizer keeps an average.
        """
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
            x: As of `fit`. Of `ImageBatches`, all images are evaluated, in
                order and not mirrored.
            **kwargs: `keras.Model.evaluate`'s; `steps` as of `fit`.

        Returns:
            As of `keras.Model.evaluate`: a dictionary with
            `return_dict=True`.

        Raises:
            ValueError: As of `fit`.
        """
        if kwargs.get("_use_cached_eval_dataset"):  # within `fit`
            self.use_average(True)
            return self._evaluate(x, kwargs, self._training.active)
        self._check_compiled("evaluate")
        self._check_adapted("evaluate")
        check_arguments(super().evaluate, kwargs)
        data, kwargs = held_out_data(x, self.image_shape, kwargs)
        return self._evaluate(data, kwargs, self.parts.present)

    def _evaluate(self, data, kwargs, roles):
        self._set_active(roles, "test")
        fresh = keras.random.SeedGenerator(TEST_SEED)
        self.test_seed.state.assign(fresh.state)
        with Kept(self):
            return super().evaluate(data, **kwargs)

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
        return tuple(role.name for role in self.parts.select(factors))

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
        self._training.averages.loaded(bool(np.asarray(store["averaged"])))

    def _random_states(self):
        weights = {id(v) for v in (*self.weights, *self.metrics_variables)}
        return [v for v in self.variables if id(v) not in weights]
