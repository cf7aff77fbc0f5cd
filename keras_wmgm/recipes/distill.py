"""Distilling a model that a recipe has trained."""

from dataclasses import replace

import keras

from keras_wmgm.models.wmgm import check_teacher
from keras_wmgm.recipes.in_turn import stages_in_turn
from keras_wmgm.recipes.recipe import Recipe
from keras_wmgm.recipes.recipe import Stage
from keras_wmgm.utils.checks import check_choice


def can_be_distilled(model: keras.Model) -> bool:
    """Whether a model can be the teacher of `WMGM.from_teacher`."""
    try:
        check_teacher(model)
    except ValueError:
        return False
    return True


def distill_names(teacher: keras.Model) -> list[str]:
    """Return the factors of `WMGM.from_teacher(teacher)` that are distilled.

    The coarse factor is one only if it has a guide, whose help it learns to do
    without.
    """
    return [
        part.name
        for part in teacher.parts
        if part.kind == "detail" or getattr(part.factor, "is_guided", False)
    ]


def check_distill(recipe: Recipe, model: keras.Model) -> None:
    """Refuse stages of a distillation that the model cannot have.

    Args:
        recipe: A recipe.
        model: Its model.

    Raises:
        ValueError: For a model that cannot be distilled, and for factors that
            its distillation does not have.
    """
    if not recipe.distill:
        return
    check_teacher(model)
    known = [*distill_names(model), "detail"]
    for stage in recipe.distill:
        if not stage.factors or stage.start_from:
            raise ValueError(
                "A stage of a distillation needs `factors`, and takes no "
                f"`start_from`. Received: {stage}"
            )
        for name in stage.factors:
            check_choice("factors", name, known)


def distill_stages(
    teacher: keras.Model,
    minutes: float | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
) -> list[Stage]:
    """Return a stage for each factor that is distilled; see `distill_names`.

    Args:
        teacher: A `WSGM`; it need not be trained yet.
        minutes: As of `stages_in_turn`.
        epochs: As of `stages_in_turn`.
        batch_size: Images per step.

    Raises:
        ValueError: For a model that cannot be distilled.
    """
    check_teacher(teacher)
    return stages_in_turn(
        teacher,
        distill_names(teacher),
        minutes,
        epochs,
        batch_size,
        from_nothing=False,
    )


def distillation(recipe: Recipe, teacher: str) -> Recipe:
    """Return the recipe of the `WMGM` that a trained model is distilled into.

    Args:
        recipe: The recipe of the model; its `distill` has the stages.
        teacher: The preset that it was saved to.
    """
    return replace(
        recipe,
        model={"class": "WMGM", "teacher": teacher},
        optimizers={},
        stages=recipe.distill,
        distill=[],
    )
