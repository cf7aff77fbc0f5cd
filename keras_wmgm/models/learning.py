"""Learning: how a `MultiscaleModel` is trained and evaluated."""

from functools import partial
from typing import Any

import keras

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.data.streams import check_batch
from keras_wmgm.training.fit_data import check_arguments
from keras_wmgm.training.fit_data import check_reiterable
from keras_wmgm.training.fit_data import held_out_data
from keras_wmgm.training.fit_data import training_data
from keras_wmgm.training.fit_data import validation_data
from keras_wmgm.training.housekeeping import Housekeeping
from keras_wmgm.training.housekeeping import without_swaps
from keras_wmgm.training.losses import reported
from keras_wmgm.training.losses import total_loss
from keras_wmgm.training.parts import check_training
from keras_wmgm.training.parts import freeze
from keras_wmgm.training.state import TrainingState
from keras_wmgm.types import Tensor
from keras_wmgm.utils.interrupts import Interrupts
from keras_wmgm.utils.interrupts import RestoredOnError
from keras_wmgm.utils.seeds import as_keras_seed

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
        self.training_state = TrainingState()

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

    def zero_grad(self, *args, **kwargs):
        """Forget the gradients of the last step; only PyTorch calls this.

        Keras finds PyTorch's parameters by the paths of variables. Two
        networks may share these, and then gradients would add up.
        """
        for variable in self.trainable_variables:
            variable.value.grad = None

    def _learning_parts(self):
        names = {role.part.name for role in self.training_state.active}
        return [part for part in self.parts if part.name in names]

    def _track(self, name, value, batch):
        state = self.training_state
        state.measured.setdefault(state.active, set()).add(name)
        self.trackers[name].update_state(value, sample_weight=batch)

    def get_metrics_result(self) -> dict:
        names = {n for part in self._learning_parts() for n in reported(part)}
        state = self.training_state
        measured = state.measured.get(state.active, names)
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
            FloatingPointError: If the loss is not finite after an epoch.

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
        check_training(roles)
        adapting = not self.adapted
        if adapting:
            check_reiterable(x)
        data, kwargs = training_data(x, self.image_shape, kwargs, self.seed)
        kwargs = validation_data(data, self.image_shape, kwargs)
        if adapting:
            self.adapt(x)
        callbacks = without_swaps(kwargs.pop("callbacks", None))
        self._set_active(roles, "train")
        told = data if isinstance(data, ImageBatches) else x
        try:
            with (
                Interrupts() as interrupts,
                RestoredOnError(self, optimizer=True) as restored,
            ):
                first = Housekeeping(told, interrupts, restored)
                return super().fit(
                    data, callbacks=[first, *callbacks], **kwargs
                )
        finally:
            self.use_average(True)
            self._set_active(self.parts.learning)

    def _set_active(self, roles, function=None):
        """Note which roles learn, and let the factors know.

        A function that was compiled for others is made anew.

        Args:
            roles: The roles.
            function: `"train"`, `"test"` or `None`: what is called next.
        """
        freeze(self.parts)
        state = self.training_state
        state.active = roles
        self.optimizer.active = frozenset(role.name for role in roles)
        for part in self.parts:
            part.factor.learning = frozenset(
                role.key for role in part.roles if role in roles
            )
        if (
            function is None
            or self.training_state.compiled.get(function) == roles
        ):
            return
        self.training_state.compiled[function] = roles
        # JAX finds again what it has compiled for an equal function, and
        # bound methods are equal.
        step = partial(getattr(type(self), f"{function}_step"), self)
        setattr(self, f"{function}_step", step)
        setattr(self, f"{function}_function", None)

    def train_on_batch(self, x: Any, **kwargs):
        """Take one step of all networks; leaves their raw weights in place.

        Call `use_average(True)` before drawing.

        Args:
            x: A batch of images, as of `fit`.
            **kwargs: `keras.Model.train_on_batch`'s.

        Raises:
            ValueError: As of `fit`.
        """
        batch = self._batch(super().train_on_batch, x, kwargs)
        self.use_average(False)
        self._set_active(self.parts.learning, "train")
        return super().train_on_batch(batch, **kwargs)

    def test_on_batch(self, x: Any, **kwargs):
        """Return what `fit` reports, on one batch; see `train_on_batch`."""
        batch = self._batch(super().test_on_batch, x, kwargs)
        self._set_active(self.parts.learning, "test")
        return super().test_on_batch(batch, **kwargs)

    def _batch(self, method, x, kwargs):
        """Return a batch of images, or refuse it."""
        self._check_compiled(method.__name__)
        self._check_adapted(method.__name__)
        check_training(self.parts.learning)
        check_arguments(method, kwargs)
        (batch,) = check_batch(x, self.image_shape)
        return batch

    def predict(self, *args, **kwargs):
        with RestoredOnError(self):
            return super().predict(*args, **kwargs)

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
            return self._evaluate(x, kwargs, self.training_state.active)
        self._check_compiled("evaluate")
        self._check_adapted("evaluate")
        check_training(self.parts.learning)
        check_arguments(super().evaluate, kwargs)
        data, kwargs = held_out_data(x, self.image_shape, kwargs)
        return self._evaluate(data, kwargs, self.parts.learning)

    def _evaluate(self, data, kwargs, roles):
        before = self.training_state.active
        self._set_active(roles, "test")
        fresh = keras.random.SeedGenerator(TEST_SEED)
        self.test_seed.state.assign(fresh.state)
        try:
            with RestoredOnError(self):
                return super().evaluate(data, **kwargs)
        finally:
            self._set_active(before)

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
