"""Losses and measures: what a `MultiscaleModel` learns by, and reports."""

from keras import ops

from keras_wmgm.models.role_optimizer import level_of
from keras_wmgm.types import Tensor


class Losses:
    """The part of `Learning` that asks the factors for their losses."""

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


def _measured_at(measure, k):
    return f"{measure}_{k or 'coarse'}"
