"""Compiling: how each network of a `MultiscaleModel` learns."""

from typing import Any

import keras

from keras_wmgm.training.averages import take_over
from keras_wmgm.training.parts import freeze
from keras_wmgm.training.precision import refuse_float16
from keras_wmgm.training.role_optimizer import RoleOptimizer
from keras_wmgm.training.role_optimizer import optimizers_by_role


class Compiling:
    """The part of `MultiscaleModel` that sets how it learns.

    It keeps the optimizers, and the averages of weights that they make.
    """

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
        _refuse_unknown(unknown)
        for part in self.parts:
            part.factor.prepare_training()
        freeze(self.parts)
        refuse_float16(self)
        before = self.optimizer.by_role if self.compiled else {}
        roles = self.parts.learning
        by_role = optimizers_by_role(optimizer, roles, before)
        variables = {role.name: role.variables for role in roles}
        made = RoleOptimizer(by_role, variables)
        arguments = {
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        super().compile(optimizer=made, **arguments)
        made.build(self.trainable_variables)
        state = self.training_state
        state.arguments, state.compiled = arguments, {}
        state.averages = take_over(state.averages, by_role.values())
        self._set_active(self.parts.learning)

    def get_compile_config(self) -> dict | None:
        if not self.compiled:
            return None
        # As they are by now: rates may have changed since `compile`.
        optimizer = self.optimizer.by_role
        return keras.saving.serialize_keras_object(
            {"optimizer": optimizer, **self.training_state.arguments}
        )

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def averaged(self) -> bool:
        """Whether the networks hold the averages of their weights.

        False where no optimizer keeps an average.
        """
        return self.training_state.averages.shown

    def use_average(self, averaged: bool) -> None:
        """Put the averaged weights into the networks, or the raw ones back.

        Nothing happens where no optimizer keeps an average, or where the
        networks hold what is asked for.

        Args:
            averaged: Whether the averages are wanted.
        """
        self.training_state.averages.show(averaged)


def _refuse_unknown(arguments):
    """Refuse a loss, metrics, and what Keras's `compile` takes besides."""
    if arguments:
        names = " and no ".join(f"`{name}`" for name in arguments)
        raise TypeError(
            f"`compile` takes no {names}: every factor has its own loss, and "
            f"reports its own measures. Received: {', '.join(arguments)}"
        )
