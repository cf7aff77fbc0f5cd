import math
from pathlib import Path

import pytest

import keras_wmgm

ZOO = Path(keras_wmgm.__file__).parents[1] / "zoo"
RECIPES = {p.parent.name: p for p in sorted(ZOO.glob("*/recipe.toml"))}
DIFFUSION = 991_455 + 930_869 + 2 * 997_941  # 8x8; details of 32x32, 16x16, 8x8
HYBRID_128 = 991_455 + 2 * 930_869 + 2 * 3_047_213
PARAMETERS = {
    "clothing_64": DIFFUSION,
    "clothing_128": HYBRID_128,
    "afhq_cat_128": HYBRID_128,
    "afhq_dog_128": HYBRID_128,
    "faces_utk_128": HYBRID_128,
    "celeba_64": DIFFUSION,
    "celebahq_128": 89_014_579,
    "colon_128": 89_014_579,
}


def test_every_recipe_is_here():
    assert set(PARAMETERS) | {"celeba_64_wmgm"} == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_stages_train_every_network_once(name):
    recipe = keras_wmgm.recipes.read_recipe(RECIPES[name])
    trained = [name for stage in recipe.stages for name in stage.factors]
    details = recipe.model["details"]
    if isinstance(details, list):
        names = [f"detail_{k}" for k in range(len(details), 0, -1)]
        assert len(details) == recipe.model["num_levels"]
    else:
        names = ["detail"]
    assert trained == ["coarse", *names]
    assert all(stage.num_epochs(1000) for stage in recipe.stages)


@pytest.mark.parametrize("name", ["celeba_64", "clothing_128", "celebahq_128"])
def test_parameters(name):
    recipe = keras_wmgm.recipes.read_recipe(RECIPES[name])
    model = keras_wmgm.recipes.build_model(recipe)
    assert keras_wmgm.recipes.build_optimizers(recipe, model, 1000)
    draws = [factor.networks["draw"] for factor in model.factors.values()]
    counts = [math.prod(v.shape) for n in draws for v in n.trainable_variables]
    assert sum(counts) == PARAMETERS[name]
