"""Compiling: an optimizer for every network of a `MultiscaleModel`."""

from typing import Any

import keras

from keras_wmgm.models.role_optimizer import Averages
from keras_wmgm.models.role_optimizer import RoleOptimizer
from keras_wmgm.models.role_optimizer import optimizers_by_role


class Compiling:
    """The part of `Learning` that sets how a model learns."""

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
