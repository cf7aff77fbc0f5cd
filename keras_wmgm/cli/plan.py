"""The plan of a run, and how a run goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_wmgm.cli.options import check_apart
from keras_wmgm.data.sources import split_zip
from keras_wmgm.recipes import Recipe
from keras_wmgm.recipes import distillation
from keras_wmgm.recipes import read_run
from keras_wmgm.recipes.train import FACTS

DEFAULT_MINUTES = 60.0
ON_RESUME = ("data", "minutes", "epochs")
DISTILL, TEACHER = "distill", "teacher"
"""The folders of the distillation and of its teacher, within that of a run."""


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
        run: The folder of the run whose model is distilled, if this is the
            plan of that part.
    """

    recipe: Recipe
    folder: Path
    facts: dict[str, Any]
    minutes: float | None
    run: Path | None = None

    @property
    def preset(self) -> Path:
        """Where the preset is written: as a teacher if it is distilled."""
        if self.recipe.distill:
            return self.folder / TEACHER
        return (self.run or self.folder) / "preset"

    @property
    def samples(self) -> Path:
        """Where the last grid is written."""
        return (self.run or self.folder) / "samples.png"

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


def distill_part(plan: Plan) -> Plan:
    """Return the plan of the distillation at the end of a run."""
    recipe = distillation(plan.recipe, str(plan.preset.resolve()))
    facts = {"data": plan.facts["data"]}
    folder = plan.folder / DISTILL
    return Plan(recipe, folder, facts, _minutes(recipe), plan.folder)


def resumed_plan(folder: str, given: dict[str, Any]) -> Plan:
    """Return the plan of a resumed run."""
    given = {name: v for name, v in given.items() if v is not None}
    others = [name for name in given if name not in ON_RESUME]
    if others:
        raise ValueError(
            "A resumed run keeps its options; only --data, --minutes and "
            f"--epochs can be changed. Received: {flags(others)}"
        )
    folder, run = Path(folder), None
    recipe, facts = read_run(folder)
    if (folder / DISTILL / FACTS).exists():
        part, of_part = read_run(folder / DISTILL)
        if not of_part.get("ended"):
            recipe, facts = part, of_part
            recipe.model["teacher"] = str((folder / TEACHER).resolve())
            folder, run = folder / DISTILL, folder
    facts.pop("ended", None)
    if "epochs" in given:
        _go_on_for(recipe.stages[-1], given["epochs"])
    if "data" in given:
        check_apart(given["data"], run or folder)
        facts["data"] = absolute(given["data"])
    return Plan(recipe, folder, facts, time_limit(recipe, given), run)


def time_limit(recipe: Recipe, given: dict[str, Any]) -> float | None:
    """Return the minutes of a recipe without those of its distillation.

    Args:
        recipe: The recipe; its minutes are set to those that are given.
        given: The options; `"minutes"` is the time of both.

    Raises:
        ValueError: For minutes, if only a part of the stages last for minutes
            and there is a distillation.
    """
    own = _minutes(recipe)
    if "minutes" not in given:
        return own
    minutes, stages = given["minutes"], [*recipe.stages, *recipe.distill]
    if not recipe.distill:
        return minutes
    if None in [stage.minutes for stage in stages]:
        raise ValueError(
            "--minutes is for a recipe with [[distill]] only if all of its "
            f"stages last for minutes. Received: --minutes {minutes:g}"
        )
    total = sum(stage.minutes for stage in stages)
    for stage in stages:
        stage.minutes *= minutes / total
    return minutes * own / total


def _minutes(recipe):
    """Return the time of a recipe that is limited by time only."""
    if recipe.stages[-1].is_endless:
        return DEFAULT_MINUTES
    minutes = [stage.minutes for stage in recipe.stages]
    return None if None in minutes else sum(minutes)


def _go_on_for(stage, epochs):
    if stage.minutes is not None:
        raise ValueError(
            "The run is limited by time: give --minutes. "
            f"Received: --epochs {epochs}"
        )
    stage.epochs, stage.steps = epochs, None


def absolute(data: str) -> str:
    """Return the absolute path of images, which may be within a zip file."""
    place, inside = split_zip(data)
    return str(Path(place).resolve()) + (f":{inside}" if inside else "")


def flags(names: list[str]) -> str:
    """Return the options of some names, as they are typed."""
    names = ["model" if name == "model_class" else name for name in names]
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
