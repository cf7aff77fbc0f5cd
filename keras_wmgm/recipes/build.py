"""Making a model and its optimizers from the tables of a recipe."""

from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from keras_wmgm.factors.adversarial_factor import AdversarialFactor
from keras_wmgm.factors.diffusion_factor import DiffusionFactor
from keras_wmgm.factors.factor import Factor
from keras_wmgm.models import CLASSES
from keras_wmgm.models import WMGM
from keras_wmgm.networks.detail_critic import DetailCritic
from keras_wmgm.networks.detail_unet import DetailUNet
from keras_wmgm.networks.score_unet import ScoreUNet
from keras_wmgm.optimizers.conv_muon import ConvMuon
from keras_wmgm.presets.load import from_preset
from keras_wmgm.recipes.distill import check_distill
from keras_wmgm.recipes.recipe import Recipe
from keras_wmgm.recipes.transfer import check_starts
from keras_wmgm.training.parts import Role
from keras_wmgm.utils.checks import check_choice

KINDS = ("diffusion", "gan")
DECAYS = (None, "cosine")
OWN_OPTIMIZERS = {"ConvMuon": ConvMuon}


def build_model(recipe: Recipe) -> keras.Model:
    """Make the model of a recipe, with initial weights from its seed.

    Raises:
        ValueError: For unknown arguments, and for a stage that starts a factor
            from one with other weights.
    """
    keras.utils.set_random_seed(recipe.seed)
    if "teacher" in recipe.model:
        return _student(recipe)
    arguments = dict(recipe.model)
    model_class = CLASSES[arguments.pop("class")]
    size = recipe.data["image_size"]
    channels = recipe.data.get("channels", 3)
    arguments["image_shape"] = (size, size, channels)
    arguments.update(_factors(recipe.model, channels))
    model = _call("model", model_class, seed=recipe.seed, **arguments)
    check_starts(recipe, model)
    check_distill(recipe, model)
    return model


def _student(recipe):
    """Make a model from its teacher."""
    teacher = from_preset(recipe.model["teacher"])
    size = recipe.data["image_size"]
    shape = (size, size, recipe.data.get("channels", 3))
    if shape != teacher.image_shape:
        raise ValueError(
            "The images must have the teacher's size and channels, "
            f"{teacher.image_shape}. Received: {shape}"
        )
    name = {k: recipe.model[k] for k in ("name",) if k in recipe.model}
    model = WMGM.from_teacher(teacher, seed=recipe.seed, **name)
    for part in model.parts:  # so that the recipe has all optimizers
        part.factor.prepare_training()
    check_starts(recipe, model)
    return model


def _factors(table, channels):
    """Make the factors that a model's table describes."""
    made, details = {}, table.get("details")
    if table.get("coarse") is not None:
        made["coarse"] = _factor("coarse", table["coarse"], channels)
    shape = (3 * channels, channels)
    if isinstance(details, list):
        made["details"] = [_factor("details", d, *shape) for d in details]
    elif details is not None:
        levels = table.get("num_levels")
        made["details"] = _factor("details", details, *shape, levels)
    return made


def _factor(where, values, channels, condition=0, num_scales=None) -> Factor:
    """Make a factor from a table."""
    values = dict(values)
    kind = check_choice("kind", values.pop("kind", "diffusion"), KINDS)
    shared = {"num_scales": num_scales}
    if kind == "diffusion":
        shared["condition_channels"] = condition
        network = {**shared, **values.pop("network", {})}
        values["network"] = _call(where, ScoreUNet, channels, **network)
        if values.get("guide", "none") != "none":
            guide = {**network, **values["guide"]}
            values["guide"] = _call(where, ScoreUNet, channels, **guide)
        return _call(where, DiffusionFactor, **values)
    if not condition:
        raise ValueError(
            "A GAN needs a condition, and the coarse band has none: use "
            f"kind='diffusion'. Received: {where}.kind='gan'"
        )
    generator = {**shared, **values.pop("generator", {})}
    critic = {**shared, **values.pop("critic", {})}
    bands = values.get("critic_input", "bands") == "bands"
    seen = condition + channels if bands else condition
    values["generator"] = _call(where, DetailUNet, condition, **generator)
    values["critic"] = _call(where, DetailCritic, seen, **critic)
    return _call(where, AdversarialFactor, **values)


def _with_none(values):
    """Return a table's values; TOML has no null."""
    return {k: None if v == "none" else v for k, v in values.items()}


def _call(where, function, *args, **kwargs):
    """Call a class with a file's arguments; an unknown one is an error."""
    try:
        return function(*args, **_with_none(kwargs))
    except TypeError as error:
        raise ValueError(
            f"[{where}] does not fit `{function.__name__}`: {error}"
        ) from error


def build_optimizers(
    recipe: Recipe, model: keras.Model, num_images: int
) -> dict[str, keras.optimizers.Optimizer]:
    """Make an optimizer for every role of a model, for `compile`.

    Args:
        recipe: A recipe; its tables change the defaults, as of `whole_table`.
        model: Its model.
        num_images: Number of training images, from which the number of steps
            of a decay follows.
    """
    roles = model.parts.learning
    known = sorted({name for role in roles for name in (role.name, role.kind)})
    for name in recipe.optimizers:
        check_choice("optimizers", name, known)
    return {
        role.name: _optimizer(
            whole_table(recipe.optimizers, role),
            _steps(recipe, model, role.name, num_images),
            type(role.default_optimizer()),
        )
        for role in roles
    }


def tuning_optimizers(model: keras.Model) -> dict[str, dict]:
    """Return the optimizers of a recipe for fine-tuning.

    Networks that draw learn at a tenth of their rate. Networks that only
    training needs are new, as presets do not hold them, and keep their rate.

    Args:
        model: A model with a preset's weights.
    """
    return {
        role.name: {
            "learning_rate": 0.1 * float(role.default_optimizer().learning_rate)
        }
        for role in model.parts.learning
        if not role.training_only
    }


def renew_rates(
    recipe: Recipe, model: keras.Model, num_images: int
) -> list[str]:
    """Set the learning rates of a compiled model to those of a recipe.

    Args:
        recipe: A recipe, which may be longer than when the run began.
        model: A model that `load_run` returned.
        num_images: As of `build_optimizers`.

    Returns:
        The roles whose rates are left, as the recipe has another class of
        optimizer for them.
    """
    wanted = build_optimizers(recipe, model, num_images)
    left = []
    for role, optimizer in model.optimizer.by_role.items():
        if type(optimizer) is not type(wanted[role]):
            left.append(role)  # as after a change of the default
            continue
        rate = wanted[role]._learning_rate
        if not isinstance(rate, LearningRateSchedule):
            rate = float(wanted[role].learning_rate)
        optimizer.learning_rate = rate
    return left


def rates_by_time(
    recipe: Recipe, model: keras.Model, num_images: int
) -> dict[str, int]:
    """Return the roles whose learning rates decay by time, not by steps.

    Their stages have no number of steps, so
    `keras_wmgm.callbacks.DecayOverTime` reduces their rates.

    Args:
        recipe: As of `build_optimizers`.
        model: As of `build_optimizers`.
        num_images: As of `build_optimizers`.

    Returns:
        The number of warm-up steps by role.
    """
    tables = {
        role.name: whole_table(recipe.optimizers, role)
        for role in model.parts.learning
    }
    return {
        name: table.get("warmup_steps", 0)
        for name, table in tables.items()
        if table.get("decay") == "cosine"
        and _steps(recipe, model, name, num_images) is None
    }


def whole_table(tables: dict[str, dict], role: Role) -> dict[str, Any]:
    """Return the complete table of a role's optimizer.

    It is the default optimizer's, changed by the table of the role's kind and
    then by the role's own. A table with a class replaces what comes before.

    Args:
        tables: The tables of a recipe, by role or by kind of role.
        role: The role.
    """
    optimizer = role.default_optimizer()
    config = optimizer.get_config()
    del config["name"]
    whole = {
        "class": type(optimizer).__name__,
        **config,
        "decay": "cosine",
        "warmup_steps": role.part.factor.warmup_steps,
    }
    for name in dict.fromkeys((role.kind, role.name)):
        table = tables.get(name, {})
        whole = dict(table) if "class" in table else {**whole, **table}
    return whole


def _steps(recipe, model, role, num_images):
    """Return the number of steps that train a role; `None` for no end."""
    steps = 0
    for stage in recipe.stages:
        if role in model.trained_roles(stage.factors):
            epochs = stage.num_epochs(num_images)
            if epochs is None:
                return None
            steps += epochs * stage.steps_per_epoch(num_images)
    return steps


def _optimizer(settings, steps, default):
    """Make an optimizer from a table; its rate decays over the steps."""
    known = {**OWN_OPTIMIZERS, default.__name__: default}
    settings = _with_none(settings)
    name = settings.pop("class", "Adam")
    decay = check_choice("decay", settings.pop("decay", None), DECAYS)
    warmup = settings.pop("warmup_steps", 0)
    try:
        with keras.saving.custom_object_scope(known):
            made = keras.optimizers.get(
                {"class_name": name, "config": settings}
            )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The table does not describe an optimizer: {error}. "
            f"Received: class={name!r}, {settings}"
        ) from error
    if decay == "cosine" and steps:
        rate = float(made.learning_rate)
        made.learning_rate = _cosine(rate, warmup, steps)
    return made


def _cosine(rate, warmup, steps):
    warmup = min(warmup, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        0.01 * rate if warmup else rate,
        decay_steps=max(1, steps - warmup),
        alpha=0.02,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
