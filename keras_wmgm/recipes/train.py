"""The stages of a recipe, one after the other, and where a run is kept."""

import json
import os
from typing import Any

import keras
import numpy as np

from keras_wmgm.callbacks.decay import DecayOverTime
from keras_wmgm.callbacks.stopping import TimeLimit
from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.recipes.build import rates_by_time
from keras_wmgm.recipes.recipe import Recipe
from keras_wmgm.recipes.transfer import start_from
from keras_wmgm.utils.writing import as_path
from keras_wmgm.utils.writing import write_json

FACTS = "run.json"
FOREVER = 10**9
"""Epochs that no run comes to the end of."""
TIMED_STEPS = 50
"""Steps of an epoch by the clock, at most: rates change after epochs only."""


def train(
    model: keras.Model,
    recipe: Recipe,
    images: np.ndarray,
    callbacks: list[keras.callbacks.Callback] | None = None,
    limit: TimeLimit | None = None,
) -> bool:
    """Train a model by the stages of a recipe, from where it is.

    Epochs are counted through all stages, so a model that `load_run` gave
    back goes on in the stage it had reached. A stage of some minutes begins
    anew; in it, and in one without an end, rates that decay follow the clock,
    and an epoch is cut to 50 steps.

    Args:
        model: A compiled model.
        recipe: Its recipe.
        images: uint8, `(num_images, height, width, channels)`.
        callbacks: What every `fit` gets, a `RunFolder` for one.
        limit: The time of the whole run. Stages of some minutes share it, if
            no others are left to come.

    Returns:
        Whether the last stage came to its end; False where a callback, or
        the time of the whole run, stopped it.

    Example:

    ```python
    recipe = keras_wmgm.recipes.read_recipe("zoo/clothing_128/recipe.toml")
    model = keras_wmgm.recipes.build_model(recipe)
    model.compile(
        keras_wmgm.recipes.build_optimizers(recipe, model, len(images))
    )
    keras_wmgm.recipes.train(model, recipe, images)
    ```
    """
    end = 0
    for i, stage in enumerate(recipe.stages):
        epochs = stage.num_epochs(len(images))
        end = end + epochs if epochs else FOREVER
        if model.epochs_trained >= end:
            continue
        own = _own_limit(recipe.stages[i:], limit)
        timed = own or (limit if stage.is_endless else None)
        clocks = [clock for clock in (limit, own) if clock]
        decays = _decays(recipe, model, len(images), timed) if timed else []
        if stage.start_from and not _has_learned(model, *stage.factors):
            start_from(model, stage.start_from, *stage.factors)
        model.fit(
            _batches(recipe, stage, images, bool(timed)),
            initial_epoch=model.epochs_trained,
            epochs=end,
            factors=stage.factors,
            callbacks=[*decays, *(callbacks or []), *clocks],
            verbose=0,
        )
        if model.stop_training and not (own and own.stopped):
            return False
        end = model.epochs_trained
    return True


def _own_limit(stages, limit):
    """Return the limit of the first of the stages, or `None`.

    Where nothing but minutes is left to come, they share what is left of the
    time of the whole run.
    """
    minutes = [stage.minutes for stage in stages]
    if minutes[0] is None:
        return None
    if limit is None or None in minutes:
        return TimeLimit(minutes[0])
    left = max(limit.seconds - limit.elapsed, 1.0) / 60
    return TimeLimit(left * minutes[0] / sum(minutes))


def _decays(recipe, model, num_images, clock):
    rates = rates_by_time(recipe, model, num_images)
    return [DecayOverTime(clock, [role], w) for role, w in rates.items()]


def _batches(recipe, stage, images, timed):
    return ImageBatches(
        images,
        stage.batch_size,
        flip=recipe.data.get("flip", False),
        seed=recipe.seed,
        max_batches=TIMED_STEPS if timed else None,
    )


def _has_learned(model, role):
    """Return whether a network has been trained since it was compiled."""
    iterations = model.optimizer.by_role[role].iterations
    return int(keras.ops.convert_to_numpy(iterations)) > 0


def start_run(folder: str | os.PathLike, recipe: Recipe, **facts: Any) -> None:
    """Make a run folder and write down what the run is.

    Args:
        folder: Where to; refused if there is a run in it.
        recipe: What is trained.
        **facts: More to know when the run goes on, such as where the images
            are.

    Raises:
        FileExistsError: If the folder holds a run, or is a file.
    """
    folder = as_path(folder)
    if (folder / FACTS).exists():
        raise FileExistsError(
            "The folder holds a run: go on with it (`--resume`), or choose "
            f"another folder. Received: {folder}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, recipe, **facts)


def write_run(folder: str | os.PathLike, recipe: Recipe, **facts: Any) -> None:
    """Write down what a run is, in place of what was there.

    Args:
        folder: The run's folder.
        recipe: As of `start_run`.
        **facts: As of `start_run`.
    """
    content = {**facts, "recipe": recipe.to_dict()}
    write_json(as_path(folder) / FACTS, content)


def read_run(folder: str | os.PathLike) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe of a run folder, and the facts beside it.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If what is there cannot be read.
    """
    path = as_path(folder) / FACTS
    if not path.is_file():
        raise FileNotFoundError(
            f"A run folder has a {FACTS}, and there is none. Received: {folder}"
        )
    try:
        facts = json.loads(path.read_text())
        return Recipe.from_dict(facts.pop("recipe")), facts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The run's {FACTS} cannot be read ({error}). Received: {path}"
        ) from error
