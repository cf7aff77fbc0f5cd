"""The plan of a new run, checked before work starts."""

import math
from pathlib import Path
from typing import Any

from keras_wmgm.callbacks.run_folder import RUN_FILE
from keras_wmgm.cli.options import check_apart
from keras_wmgm.cli.options import check_folder
from keras_wmgm.cli.options import make_folder
from keras_wmgm.cli.plan import DEFAULT_MINUTES
from keras_wmgm.cli.plan import DISTILL
from keras_wmgm.cli.plan import TEACHER
from keras_wmgm.cli.plan import Plan
from keras_wmgm.cli.plan import absolute
from keras_wmgm.cli.plan import flags
from keras_wmgm.cli.plan import time_limit
from keras_wmgm.presets.load import from_preset
from keras_wmgm.presets.registry import REGISTRY
from keras_wmgm.presets.registry import WEIGHTS
from keras_wmgm.recipes import Recipe
from keras_wmgm.recipes import Stage
from keras_wmgm.recipes import build_model
from keras_wmgm.recipes import can_be_distilled
from keras_wmgm.recipes import distill_stages
from keras_wmgm.recipes import keep_start
from keras_wmgm.recipes import read_recipe
from keras_wmgm.recipes import shared_bands
from keras_wmgm.recipes import stages_in_turn
from keras_wmgm.recipes import tuning_optimizers
from keras_wmgm.recipes.train import FACTS
from keras_wmgm.training.parts import check_training

DISTILL_MINUTES = 20.0
DISTILL_SHARE = 0.4
"""The share of the time in which a WSGM is distilled into a WMGM."""
DISTILL_FROM = 15.0
"""Shorter runs are distilled only if asked to: compiling takes a minute, and a
slow machine would take few steps in what is left."""
CRITIC_WARMUP_STEPS = 200
COARSE_SIZE = 8
IN_DATA = ("image_size", "crop", "flip", "channels", "on_error")
IN_MODEL = ("model_class", "num_levels")
IN_PRESET = ("image_size", "channels")
IN_STAGE = ("epochs", "factors", "batch_size")
MODELS = ("wmgm", "wsgm")


def make_plan(given: dict[str, Any]) -> Plan:
    """Return the plan of a new run from the options that were given."""
    given = {name: v for name, v in given.items() if v is not None}
    missing = [f"--{name}" for name in ("data", "output") if name not in given]
    if missing:
        raise ValueError(
            f"A new run needs {' and '.join(missing)} (--resume RUN goes on "
            "with an old one)."
        )
    _refuse_beside("--recipe", given, (*IN_MODEL, *IN_STAGE))
    _refuse_beside("--init-from", given, ("num_levels", *IN_PRESET))
    _refuse_beside("--epochs", given, ("minutes",))
    folder = Path(given["output"])
    _check_new(folder)
    check_folder(folder / "preset", WEIGHTS)
    check_apart(given["data"], folder)
    facts = {"data": absolute(given["data"])}
    if not {"recipe", "epochs"} & given.keys():
        given.setdefault("minutes", DEFAULT_MINUTES)
    recipe = _recipe(given)
    if "init_from" in given:
        facts["tuned"] = "recipe" not in given
        facts["init_from"] = _init(recipe, given)
    elif "recipe" not in given:
        _set_stages(recipe, build_model(recipe), given)
    make_folder(folder)
    return Plan(recipe, folder, facts, time_limit(recipe, given))


def distill_plan(given: dict[str, Any]) -> Plan:
    """Return the plan of `keras-wmgm distill`."""
    given = {name: v for name, v in given.items() if v is not None}
    _refuse_beside("--epochs", given, ("minutes",))
    folder = Path(given["output"])
    _check_new(folder)
    check_folder(folder / "preset", WEIGHTS)
    check_apart(given["data"], folder)
    teacher = from_preset(given["preset"])
    length = {"epochs": given.get("epochs")}
    if "epochs" not in given:
        length = {"minutes": given.get("minutes", DISTILL_MINUTES)}
    size, _, channels = _square(teacher.image_shape)
    recipe = Recipe(
        {
            **{n: given[n] for n in IN_DATA if n in given},
            "image_size": size,
            "channels": channels,
        },
        {"class": "WMGM", "teacher": _place(given["preset"])},
        stages=distill_stages(
            teacher, **length, batch_size=given.get("batch_size", 32)
        ),
    )
    _with_options(recipe, given)
    make_folder(folder)
    facts = {"data": absolute(given["data"])}
    return Plan(recipe, folder, facts, time_limit(recipe, given))


def _recipe(given):
    """Return the recipe of the options; without --recipe it has no stages."""
    if "recipe" in given:
        return _with_options(read_recipe(given["recipe"]), given)
    values = {
        "data": {n: given[n] for n in IN_DATA if n in given},
        "model": _model(given),
    }
    values["data"].setdefault("image_size", 64)
    return _with_options(Recipe.from_dict(values), given)


def _set_stages(recipe, model, given, from_nothing=True):
    """Give a recipe a stage for each factor, or for those of --factors.

    Then come the stages of a distillation, unless it was not asked for.
    """
    names = _names(given)
    minutes, epochs = given.get("minutes"), given.get("epochs")
    size = given.get("batch_size", Stage.batch_size)
    long = minutes is None or minutes >= DISTILL_FROM
    model_class = given.get("model_class", "wmgm" if long else "wsgm")
    if model_class == "wmgm" and not names and can_be_distilled(model):
        share = DISTILL_SHARE
        recipe.distill = distill_stages(
            model,
            minutes and minutes * share,
            epochs and math.ceil(epochs * share),
            size,
        )
        minutes = minutes and minutes * (1 - share)
    recipe.stages = stages_in_turn(
        model,
        names,
        minutes,
        epochs,
        size,
        from_nothing,
    )


def _names(given):
    """Return the names of --factors, or `None`."""
    names = given.get("factors")
    return names and names.replace(" ", "").split(",")


def _with_options(recipe, given):
    recipe.data.update({n: given[n] for n in IN_DATA if n in given})
    if "channels" in recipe.data:
        recipe.data["channels"] = int(recipe.data["channels"])
    recipe.seed = given.get("seed", recipe.seed)
    recipe.precision = given.get("precision", recipe.precision)
    return recipe


def _model(given):
    """Return the model's table, with a number of levels that suits the size."""
    size = given.get("image_size", 64)
    levels = 0
    while size % 2 ** (levels + 2) == 0 and size >> levels > COARSE_SIZE:
        levels += 1
    num_levels = given.get("num_levels", max(levels, 1))
    return {"class": "WSGM", "num_levels": num_levels}


def _init(recipe, given):
    """Adapt a recipe to a preset, and return the path or name of the preset.

    Without --recipe, the run fine-tunes the model of the preset. With it, the
    recipe's networks start from those of the preset that fit their bands.
    """
    preset = given["init_from"]
    source = from_preset(preset, load_weights=False)
    _square(source.image_shape)
    if "recipe" in given:
        _start_factors(recipe, source, preset)
    else:
        _take_over(recipe, source)
        source.compile()  # makes its critics
        check_training(source.parts.select(_names(given)))
        _set_stages(recipe, source, given, from_nothing=False)
        _warm_critics_up(recipe, source, source.factors)
    return _place(preset)


def _place(preset):
    """Return the absolute path of a preset's folder, or the preset's name."""
    if preset in REGISTRY or not Path(preset).is_dir():
        return preset
    return str(Path(preset).resolve())


def _square(image_shape):
    """Return the shape of a preset's images, which must be square."""
    height, width, _ = image_shape
    if height != width:
        raise ValueError(
            "Images are read as squares, so the preset must have square "
            f"images. Received: a preset of {width}x{height} pixels"
        )
    return image_shape


def _start_factors(recipe, source, preset):
    """Let a recipe's factors start from those of a preset."""
    model = build_model(recipe)
    started = shared_bands(source, model)
    if not started:
        raise ValueError(
            "The recipe has no network with the same weights as the preset's "
            "network for a band of the same size. Received: "
            f"{recipe.data['image_size']} pixels and {preset!r}, "
            f"{source.image_shape[0]} pixels"
        )
    keep_start(recipe, started)
    _warm_critics_up(recipe, model, started)


def _take_over(recipe, model):
    """Let a recipe fine-tune the model of a preset."""
    height, _, channels = model.image_shape
    recipe.data.update(image_size=height, channels=channels)
    recipe.model = {
        "class": type(model).__name__,
        "num_levels": model.num_levels,
    }
    recipe.optimizers = tuning_optimizers(model)


def _warm_critics_up(recipe, model, started):
    """Add a first stage for the critics of factors with a preset's weights.

    A preset holds no critics, and new ones would spoil its generators.
    """
    select = model.parts.select
    trained = {role for s in recipe.stages for role in select(s.factors)}
    roles = trained & set(select(list(started)))
    critics = sorted(role.name for role in roles if role.training_only)
    if critics:
        size = recipe.stages[0].batch_size
        warmup = Stage(critics, steps=CRITIC_WARMUP_STEPS, batch_size=size)
        recipe.stages.insert(0, warmup)


def _check_new(folder):
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            "A run needs a folder, and there is a file of this name. "
            f"Received: {folder}"
        )
    for name in (DISTILL, TEACHER):
        if (folder / name).exists():
            raise FileExistsError(
                f"The folder has a {name}/, a name that runs use; choose "
                f"another --output. Received: {folder}"
            )
    if (folder / FACTS).exists() or (folder / RUN_FILE).exists():
        raise FileExistsError(
            f"The folder holds a run; go on with it: `keras-wmgm train "
            f"--resume {folder}`, or choose another --output."
        )


def _refuse_beside(option, given, names):
    if option.lstrip("-").replace("-", "_") in given:
        others = [name for name in names if name in given]
        if others:
            raise ValueError(
                f"{option} sets what these options set; leave one out. "
                f"Received: {option} and {flags(others)}"
            )
