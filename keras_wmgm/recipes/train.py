"""Training by the stages of a recipe, and the facts of a run."""

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
"""More epochs than any run trains."""
TIMED_STEPS = 50
"""The most steps of a timed epoch: rates change between epochs only."""


def train(
    model: keras.Model,
    recipe: Recipe,
    images: np.ndarray,
    callbacks: list[keras.callbacks.Callback] | None = None,
    limit: TimeLimit | None = None,
) -> bool:
    """Train a model by the stages of a recipe.

    Epochs are counted through all stages, so a model from `load_run` continues
    in the stage that it had reached. Stages with `minutes` start again. In
    them, and in a stage without an end, learning rates decay by time, and an
    epoch has at most 50 steps.

    Args:
        model: A compiled model.
        recipe: Its recipe.
        images: uint8, `(num_images, height, width, channels)`.
        callbacks: Callbacks of every `fit`, such as a `RunFolder`.
        limit: The time of the whole run. If all stages that are left have
            `minutes`, they share the time that is left.

    Returns:
        Whether the last stage was completed; `False` if a callback or the
        limit stopped the training.

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

    If all of the stages have `minutes`, they share the time that is left.
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
    """Make a run folder, and save the recipe and the facts of the run.

    Args:
        folder: The folder; it must not hold a run.
        recipe: The recipe.
        **facts: Facts for resuming the run, such as the path of the images.

    Raises:
        FileExistsError: If the folder holds a run, or is a file.
    """
    folder = as_path(folder)
    if (folder / FACTS).exists():
        raise FileExistsError(
            "The folder holds a run: resume it (`--resume`), or choose "
            f"another folder. Received: {folder}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, recipe, **facts)


def write_run(folder: str | os.PathLike, recipe: Recipe, **facts: Any) -> None:
    """Save the recipe and the facts of a run, replacing the old ones.

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
            f"The folder has no {FACTS}, so it is not a run folder. "
            f"Received: {folder}"
        )
    try:
        facts = json.loads(path.read_text())
        # Of the first version; such a run's model is in its `run.keras`.
        facts["recipe"]["model"].pop("gan_levels", None)
        return Recipe.from_dict(facts.pop("recipe")), facts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The run's {FACTS} cannot be read ({error}). Received: {path}"
        ) from error
