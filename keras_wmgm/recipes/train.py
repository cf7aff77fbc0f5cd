"""The stages of a recipe, one after the other, and where a run is kept."""

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.models.role_optimizer import kind_of
from keras_wmgm.recipes.recipe import Recipe
from keras_wmgm.recipes.transfer import start_from
from keras_wmgm.utils.files import write_json

FACTS = "run.json"


def train(
    model: keras.Model,
    recipe: Recipe,
    images: np.ndarray,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> bool:
    """Train a model by the stages of a recipe, from where it is.

    Epochs are counted through all stages, so a model that `load_run` gave
    back goes on in the stage it had reached.

    Args:
        model: A compiled model.
        recipe: Its recipe.
        images: uint8, `(num_images, height, width, channels)`.
        callbacks: What every `fit` gets, a `RunFolder` for one.

    Returns:
        Whether the last stage came to its end; False where a callback
        stopped it.

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
    for stage in recipe.stages:
        if stage.start_from and model.epochs_trained == end:
            start_from(model, stage.start_from, *stage.factors)
        batches = ImageBatches(
            images,
            stage.batch_size,
            flip=recipe.data.get("flip", False),
            seed=recipe.seed,
        )
        for factors, epochs in stage.turns(parts_of(model), len(images)):
            end += epochs
            if model.epochs_trained >= end:
                continue
            model.fit(
                batches,
                initial_epoch=model.epochs_trained,
                epochs=end,
                factors=factors,
                callbacks=list(callbacks or []),
                verbose=0,
            )
            if model.stop_training:
                return False
    return True


def parts_of(model: keras.Model) -> list[str]:
    """Return what can be trained alone: the factors, and then the guides."""
    guides = [r for r in model.networks if kind_of(r) == "guide"]
    return [*model.factors, *guides]


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
    folder = Path(folder)
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
    write_json(Path(folder) / FACTS, content)


def read_run(folder: str | os.PathLike) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe of a run folder, and the facts beside it.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If what is there cannot be read.
    """
    path = Path(folder) / FACTS
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
