"""The plan of `keras-wmgm train`, checked before work starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_wmgm.callbacks.run_folder import RUN_FILE
from keras_wmgm.cli.options import check_apart
from keras_wmgm.cli.options import check_folder
from keras_wmgm.cli.options import make_folder
from keras_wmgm.data.sources import split_zip
from keras_wmgm.presets.load import from_preset
from keras_wmgm.presets.registry import WEIGHTS
from keras_wmgm.recipes import Recipe
from keras_wmgm.recipes import Stage
from keras_wmgm.recipes import build_model
from keras_wmgm.recipes import keep_start
from keras_wmgm.recipes import read_recipe
from keras_wmgm.recipes import read_run
from keras_wmgm.recipes import shared_bands
from keras_wmgm.recipes import stages_in_turn
from keras_wmgm.recipes import tuning_optimizers
from keras_wmgm.recipes.train import FACTS

DEFAULT_MINUTES = 60.0
CRITIC_WARMUP_STEPS = 200
COARSE_SIZE = 8
IN_DATA = ("image_size", "crop", "flip", "channels", "on_error")
IN_MODEL = ("model_class", "num_levels", "gan_levels")
IN_PRESET = ("image_size", "channels")
IN_STAGE = ("epochs", "factors", "batch_size")
ON_RESUME = ("data", "minutes", "epochs")
CLASSES = {"hybrid": "HybridWMGM", "wmgm": "WMGM"}


@dataclass
class Plan:
    """The plan of a run.

    Attributes:
        recipe: The recipe.
        folder: The run's folder.
        facts: The path of the images (`"data"`), the preset that the weights
            come from (`"init_from"`), and whether the run trains the model of
            the preset itself (`"tuned"`).
        minutes: The limit of time, or `None`.
    """

    recipe: Recipe
    folder: Path
    facts: dict[str, Any]
    minutes: float | None

    def steps(self, epochs: int, num_images: int) -> tuple[int, int | None]:
        """Return the steps of some epochs, and of all; `None` for no end."""
        done = total = 0
        for stage in self.recipe.stages:
            per_epoch = stage.steps_per_epoch(num_images)
            length = stage.num_epochs(num_images)
            if length is None:
                return done + epochs * per_epoch, None
            done += min(epochs, length) * per_epoch
            total += length * per_epoch
            epochs -= min(epochs, length)
        return done, total


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
    _refuse_beside("--init-from", given, (*IN_MODEL, *IN_PRESET))
    _refuse_beside("--epochs", given, ("minutes",))
    folder = Path(given["output"])
    _check_new(folder)
    check_folder(folder / "preset", WEIGHTS)
    check_apart(given["data"], folder)
    facts = {"data": _absolute(given["data"])}
    if not {"recipe", "epochs"} & given.keys():
        given.setdefault("minutes", DEFAULT_MINUTES)
    recipe = _recipe(given)
    if "init_from" in given:
        facts["tuned"] = "recipe" not in given
        facts["init_from"] = _init(recipe, given)
    elif "recipe" not in given:
        recipe.stages = _stages(build_model(recipe), given)
    make_folder(folder)
    return Plan(recipe, folder, facts, given.get("minutes", _minutes(recipe)))


def resumed_plan(folder: str, given: dict[str, Any]) -> Plan:
    """Return the plan of a resumed run."""
    given = {name: v for name, v in given.items() if v is not None}
    others = [name for name in given if name not in ON_RESUME]
    if others:
        raise ValueError(
            "A resumed run keeps its options; only --data, --minutes and "
            f"--epochs can be changed. Received: {_flags(others)}"
        )
    recipe, facts = read_run(folder)
    if "epochs" in given:
        _go_on_for(recipe.stages[-1], given["epochs"])
    if "data" in given:
        check_apart(given["data"], Path(folder))
        facts["data"] = _absolute(given["data"])
    minutes = given.get("minutes", _minutes(recipe))
    return Plan(recipe, Path(folder), facts, minutes)


def _go_on_for(stage, epochs):
    if stage.minutes is not None:
        raise ValueError(
            "The run is limited by time: give --minutes. "
            f"Received: --epochs {epochs}"
        )
    stage.epochs, stage.steps = epochs, None


def _minutes(recipe):
    """Return the time of a recipe that is limited by time only."""
    if recipe.stages[-1].is_endless:
        return DEFAULT_MINUTES
    minutes = [stage.minutes for stage in recipe.stages]
    return None if None in minutes else sum(minutes)


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


def _stages(model, given, from_nothing=True):
    """Return a stage for each factor, or for those of --factors."""
    names = given.get("factors")
    return stages_in_turn(
        model,
        names and names.replace(" ", "").split(","),
        given.get("minutes"),
        given.get("epochs"),
        given.get("batch_size", Stage.batch_size),
        from_nothing,
    )


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
    model = {"class": CLASSES[given.get("model_class", "hybrid")]}
    levels = 0
    while size % 2 ** (levels + 2) == 0 and size >> levels > COARSE_SIZE:
        levels += 1
    model["num_levels"] = given.get("num_levels", max(levels, 1))
    if "gan_levels" in given:
        if model["class"] != "HybridWMGM":
            raise ValueError(
                "--gan-levels is for --model hybrid. Received: --model wmgm"
            )
        model["gan_levels"] = given["gan_levels"]
    return model


def _init(recipe, given):
    """Adapt a recipe to a preset, and return the path or name of the preset.

    Without --recipe, the run fine-tunes the model of the preset. With it, the
    recipe's networks start from those of the preset that fit their bands.
    """
    preset = given["init_from"]
    source = from_preset(preset, load_weights=False)
    height, width, _ = source.image_shape
    if height != width:
        raise ValueError(
            "Images are read as squares, so the preset must have square "
            f"images. Received: a preset of {width}x{height} pixels"
        )
    if "recipe" in given:
        _start_factors(recipe, source, preset)
    else:
        _take_over(recipe, source)
        source.compile()  # makes its critics
        recipe.stages = _stages(source, given, from_nothing=False)
        _warm_critics_up(recipe, source, source.factors)
    return str(Path(preset).resolve()) if Path(preset).is_dir() else preset


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
    if (folder / FACTS).exists() or (folder / RUN_FILE).exists():
        raise FileExistsError(
            f"The folder holds a run; go on with it: `keras-wmgm train "
            f"--resume {folder}`, or choose another --output."
        )


def _absolute(data):
    """Return the absolute path of the images."""
    place, inside = split_zip(data)
    return str(Path(place).resolve()) + (f":{inside}" if inside else "")


def _refuse_beside(option, given, names):
    if option.lstrip("-").replace("-", "_") in given:
        others = [name for name in names if name in given]
        if others:
            raise ValueError(
                f"{option} sets what these options set; leave one out. "
                f"Received: {option} and {_flags(others)}"
            )


def _flags(names):
    names = ["model" if name == "model_class" else name for name in names]
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
