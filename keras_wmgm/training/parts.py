"""Parts and roles: the factors of a model, and the networks in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import keras

from keras_wmgm.factors.factor import Factor
from keras_wmgm.factors.factor import freeze_layer
from keras_wmgm.utils.checks import check_choice

APART = "guide"
"""The kind of role that `fit` trains only if it is named."""


@dataclass(frozen=True)
class Role:
    """The role of one network in a part; the network may not be made yet.

    Attributes:
        name: Its name in the model: `"coarse"`, `"detail_2"`, `"critic_2"`.
        kind: Its kind, shared with other parts: `"coarse"`, `"detail"`,
            `"critic"`, `"guide"`, ...
        key: Its name in the factor: `"draw"`, `"critic"`, `"guide"`, ...
        part: The part that it belongs to.
    """

    name: str
    kind: str
    key: str
    part: "Part" = field(repr=False)

    @property
    def network(self) -> keras.layers.Layer | None:
        """The network; `None` before `compile` makes it."""
        return self.part.factor.networks.get(self.key)

    @property
    def training_only(self) -> bool:
        """Whether drawing does not need the network."""
        return self.key in self.part.factor.training_only

    @property
    def frozen(self) -> bool:
        """Whether the network never learns."""
        return self.key in self.part.factor.frozen

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that this role learns.

        Variables of the factor that are in none of its networks belong to the
        role that draws.
        """
        return self._own("trainable_variables")

    @property
    def weights(self) -> list[keras.Variable]:
        """The weights of this role; as of `variables`."""
        return self._own("weights")

    def _own(self, attribute):
        factor = self.part.factor
        if self.key != "draw":
            return getattr(self.network, attribute) if self.network else []
        networks = factor.networks.items()
        others = {
            id(weight)
            for key, network in networks
            if key != "draw"
            for weight in getattr(network, attribute)
        }
        return [w for w in getattr(factor, attribute) if id(w) not in others]

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """Return a new optimizer that suits the role."""
        return self.part.factor.default_optimizer(self.key)


@dataclass(frozen=True)
class Part:
    """A factor in its place in a model.

    Attributes:
        name: `"coarse"`, `"detail"`, or `"detail_2"` where each level has a
            factor of its own.
        kind: `"coarse"` or `"detail"`.
        factor: The factor.
        levels: The levels that it serves: k >= 1, or 0 for the coarse band.
    """

    name: str
    kind: str
    factor: Factor = field(repr=False)
    levels: tuple[int, ...]

    @property
    def suffix(self) -> str:
        """The ending of its roles' names: `"_coarse"`, `"_2"` or `""`."""
        if self.kind == "coarse":
            return "_coarse"
        return self.name.removeprefix("detail")

    @property
    def roles(self) -> list[Role]:
        """The roles of its factor, the one that draws first."""
        return [
            Role(self.name, self.kind, key, self)
            if key == "draw"
            else Role(f"{key}{self.suffix}", key, key, self)
            for key in self.factor.roles
        ]


class Parts:
    """The parts of a model, coarse first, and the roles in them.

    Args:
        coarse: The coarse factor.
        details: The distinct detail factors, k = 1 first.
        num_levels: The number of levels.
        shared: Whether one detail factor serves all levels.
    """

    def __init__(
        self,
        coarse: Factor,
        details: list[Factor],
        num_levels: int,
        shared: bool,
    ):
        levels = range(1, num_levels + 1)
        places = [(f"detail_{k}", (k,)) for k in levels]
        if shared:
            places = [("detail", tuple(levels))]
        self.all = [Part("coarse", "coarse", coarse, (0,))]
        for (name, served), factor in zip(places, details, strict=True):
            self.all.append(Part(name, "detail", factor, served))
        self.roles = tuple(role for part in self.all for role in part.roles)
        names = [role.name for role in self.roles]
        if len(set(names)) < len(names):
            raise ValueError(
                "Two networks of a model would have one name: rename a role of "
                f"a factor. Received: roles {', '.join(names)}"
            )

    def __iter__(self):
        return iter(self.all)

    def __getitem__(self, name: str) -> Part:
        return next(part for part in self.all if part.name == name)

    @property
    def present(self) -> tuple[Role, ...]:
        """The roles whose networks have been made."""
        return tuple(role for role in self.roles if role.network is not None)

    @property
    def learning(self) -> tuple[Role, ...]:
        """The roles that learn, of those whose networks have been made."""
        return tuple(role for role in self.present if not role.frozen)

    def select(self, names: Any = None) -> tuple[Role, ...]:
        """Return the roles that `fit(factors=names)` trains.

        Args:
            names: As of `MultiscaleModel.fit`.

        Raises:
            ValueError: For names of no factor and no role.
        """
        if names is None:
            return self.learning
        meanings = self._meanings()
        chosen = set()
        for name in as_list(names):
            chosen |= meanings[check_choice("factors", name, meanings)]
        if not chosen:
            raise ValueError(
                f"`factors` must name one or more of {', '.join(meanings)}. "
                f"Received: factors={names!r}"
            )
        return tuple(role for role in self.learning if role in chosen)

    def _meanings(self) -> dict[str, set[Role]]:
        """Return the roles that each name stands for."""
        meanings = {role.name: {role} for role in self.learning}
        for role in self.learning:
            meanings.setdefault(role.kind, set()).add(role)
            if role.key == "draw":
                meanings[f"draw{role.part.suffix}"] = {role}
        meanings["detail"] = set()
        for part in self.all:
            together = {r for r in part.roles if r.kind != APART}
            meanings[part.name] = together & set(self.learning)
            if part.kind == "detail":
                meanings["detail"] |= meanings[part.name]
        return meanings


def freeze(parts: Iterable[Part]) -> None:
    """Freeze what never learns, also after `model.trainable = True`."""
    for part in parts:
        for role in part.roles:
            if role.frozen and role.network is not None:
                freeze_layer(role.network)


def check_training(roles: Iterable[Role]) -> None:
    """Refuse to train roles whose factors lack something that they need."""
    for part in {role.part.name: role.part for role in roles}.values():
        part.factor.check_training()


def as_list(value: Any) -> list:
    """Return a list: empty for `None`, and of one item for a single value."""
    if value is None:
        return []
    many = isinstance(value, Iterable) and not isinstance(value, str)
    return list(value) if many else [value]
