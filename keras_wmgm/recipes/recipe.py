"""A recipe: the whole training of a model, in one TOML file.

description = "..."            what comes out, in words
seed = 0
precision = "float32"          or "mixed_bfloat16"

[data]                         arguments of `load_images`, and:
source = "cats128.zip:train"   where the images came from, in words
image_size = 128
flip = true                    mirror each image half of the time

[model]                        arguments of the class, and:
class = "WSGM"                 or "WMGM", "MultiscaleModel"
num_levels = 4

[model.coarse]                 arguments of the factor; may be left out
kind = "diffusion"             or "gan"
network = { filters = [48, 64] }
guide = { filters = [16, 32] } what differs from the network's arguments
guidance = 1.5

[[model.details]]              one for each level, the finest first;
kind = "gan"                   or one `[model.details]` for all
generator = { filters = [32, 64] }
critic = { filters = [32, 64], normalization = "none" }

[optimizers.coarse]            what differs from the default; with a class,
class = "Adam"                 all arguments of the optimizer, and:
decay = "cosine"               toward 0 over the stages that train it
warmup_steps = 300

[[stages]]                     one after the other
factors = ["coarse"]           all, if left out
epochs = 100                   or steps = 10_000, or minutes = 20
batch_size = 64

[[stages]]
factors = ["detail_1"]
start_from = "detail_2"        with the weights of a factor like it

[[distill]]                    then, for a `WSGM`: the stages of a `WMGM` that
factors = ["detail_1"]         draws its details in one call each
steps = 300

A model may have a teacher instead of factors, the preset of a `WSGM`:

[model]
class = "WMGM"
teacher = "celeba_64_wsgm"

TOML has no `None`: write "none".
"""

import os
import tomllib
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from keras_wmgm.models import CLASSES
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_number
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.writing import as_path

PRECISIONS = ("float32", "mixed_bfloat16")
DATA_KEYS = ("source", "image_size", "crop", "channels", "flip", "on_error")
MODEL_KEYS = ("class", "num_levels", "coarse", "details", "name", "teacher")
OLD_CLASSES = {"HybridWMGM": "WSGM"}
"""The names of classes in the first recipes."""


@dataclass
class Stage:
    """Some factors, trained for some time.

    Attributes:
        factors: Names as `fit` takes them; `None` for all.
        epochs: Number of epochs; `None` with `steps` or `minutes`, or to
            train until a callback stops it.
        steps: The least number of steps, rounded up to whole epochs.
        batch_size: Images per step.
        start_from: Another factor, from whose weights the only factor of the
            stage starts, unless it has learned already.
        minutes: The time; learning rates decay until then. A resumed run
            repeats such a stage from its beginning.
    """

    factors: list[str] | None = None
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 32
    start_from: str | None = None
    minutes: float | None = None

    def __post_init__(self):
        if isinstance(self.factors, str):
            self.factors = [self.factors]
        check_optional_count("epochs", self.epochs)
        check_optional_count("steps", self.steps)
        if self.minutes is not None:
            check_number("minutes", self.minutes, low=0, above=True)
        check_count("batch_size", self.batch_size)
        if len(self._ends) > 1:
            raise ValueError(
                "A stage lasts for `epochs`, for `steps` or for `minutes`. "
                f"Received: {', '.join(self._ends)}"
            )
        if self.start_from is not None and len(self.factors or ()) != 1:
            raise ValueError(
                "`start_from` is for a stage of one factor. "
                f"Received: factors={self.factors}"
            )

    @property
    def _ends(self):
        ends = ("epochs", "steps", "minutes")
        return [
            f"{name}={value}"
            for name in ends
            if (value := getattr(self, name)) is not None
        ]

    @property
    def is_endless(self) -> bool:
        """Whether the stage has no end."""
        return not self._ends

    def steps_per_epoch(self, num_images: int) -> int:
        """Return the batches of an epoch."""
        return max(1, num_images // self.batch_size)

    def num_epochs(self, num_images: int) -> int | None:
        """Return the number of epochs; `None` if it is not known."""
        if self.steps is None:
            return self.epochs
        return -(-self.steps // self.steps_per_epoch(num_images))


@dataclass
class Recipe:
    """Data, model, optimizers and stages; see the module for the file.

    Attributes:
        data: The source of the images, and how to read them.
        model: The model's class and arguments.
        optimizers: Arguments of optimizers, by role as `compile` takes them.
        stages: What is trained, one after the other.
        distill: The stages of the distillation that follows, if any.
        description: The resulting model, in words.
        seed: Seed of weights, order and all random numbers in training.
        precision: Keras's dtype policy while training.

    Example:

    >>> from keras_wmgm.recipes import Recipe
    >>> recipe = Recipe.from_dict({
    ...     "data": {"image_size": 32},
    ...     "model": {"class": "WMGM", "num_levels": 2},
    ...     "stages": [{"epochs": 10}]})
    >>> recipe.stages[0].num_epochs(num_images=200)
    10
    """

    data: dict[str, Any]
    model: dict[str, Any]
    optimizers: dict[str, dict] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=lambda: [Stage()])
    distill: list[Stage] = field(default_factory=list)
    description: str = ""
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self):
        check_choice("precision", self.precision, PRECISIONS)
        check_count("seed", self.seed, minimum=0)
        _check_keys("data", self.data, DATA_KEYS)
        check_count("image_size", self.data.get("image_size", 0))
        _check_keys("model", self.model, MODEL_KEYS)
        name = self.model.get("class", "WSGM")
        self.model["class"] = OLD_CLASSES.get(name, name)
        check_choice("class", self.model["class"], CLASSES)
        _check_table("optimizers", self.optimizers)
        for name, values in self.optimizers.items():
            _check_table(f"optimizers.{name}", values)
        if not self.stages:
            raise ValueError("A recipe needs at least one stage.")
        for stage in [*self.stages[:-1], *self.distill]:
            if stage.is_endless:
                raise ValueError(
                    "Every stage but the last, and each of [[distill]], needs "
                    f"`epochs`, `steps` or `minutes`. Received: {stage}"
                )
        _check_teacher(self.model, self.distill)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """Make a recipe from the content of a file.

        Raises:
            ValueError: For unknown keys and values of the wrong kind.
        """
        fields = cls.__dataclass_fields__
        _check_keys("recipe", values, fields)
        missing = [name for name in ("data", "model") if name not in values]
        if missing:
            raise ValueError(
                f"A recipe needs [{'], ['.join(missing)}]. "
                f"Received: {list(values)}"
            )
        stages = [_stage(stage) for stage in values.get("stages", [{}])]
        distill = [_stage(stage) for stage in values.get("distill", [])]
        return cls(**{**values, "stages": stages, "distill": distill})

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a file, for `from_dict`."""
        values = asdict(self)
        for name in ("stages", "distill"):
            values[name] = [
                {k: v for k, v in stage.items() if v is not None}
                for stage in values[name]
            ]
        return values


def read_recipe(path: str | os.PathLike) -> Recipe:
    """Read a recipe from a TOML file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is not a recipe.
    """
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no such recipe, a TOML file. Received: {path}"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"The recipe is not a TOML file ({error}). Received: {path}"
        ) from None
    return Recipe.from_dict(values)


def _stage(values):
    _check_keys("stages", values, Stage.__dataclass_fields__)
    return Stage(**values)


def _check_teacher(model, distill):
    """Refuse a teacher beside what it sets."""
    if "teacher" not in model:
        return
    if distill:
        raise ValueError(
            "[[distill]] is for a model without a teacher. "
            f"Received: teacher={model['teacher']!r}"
        )
    set_too = ("num_levels", "coarse", "details")
    others = [key for key in set_too if key in model]
    if others or model["class"] != "WMGM":
        raise ValueError(
            "`teacher` is for the class 'WMGM', and sets its levels and "
            f"factors. Received: class={model['class']!r}, "
            f"{', '.join(others) or 'teacher'}"
        )


def _check_table(where, values):
    if not isinstance(values, dict):
        raise ValueError(
            f"[{where}] must be a table. Received: {where}={values!r}"
        )


def _check_keys(where, values, known):
    _check_table(where, values)
    for key in values:
        check_choice(f"{where}.{key}" if where != "recipe" else key, key, known)
