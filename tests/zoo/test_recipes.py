import math
from pathlib import Path

import numpy as np
import pytest

import keras_wmgm
from tests.helpers import to_numpy
from tests.helpers import wave

ZOO = Path(keras_wmgm.__file__).parents[1] / "zoo"
RECIPES = {p.parent.name: p for p in sorted(ZOO.glob("*/recipe.toml"))}
COARSE, DETAIL, WIDE = 991_455, 930_869, 3_047_213  # filters 48, 64; 64, 128
WSGM_64 = COARSE + 3 * DETAIL
WSGM_128 = COARSE + 2 * DETAIL + 2 * WIDE
PARAMETERS = {
    "clothing_64": WSGM_64,
    "clothing_128": COARSE + 3 * DETAIL + WIDE,
    "afhq_cat_128": WSGM_128,
    "afhq_dog_128": WSGM_128,
    "faces_utk_128": WSGM_128,
    "celeba_64": WSGM_64,
    "celeba_64_wsgm": WSGM_64,
    "celebahq_128": 89_014_579,
    "colon_128": 89_014_579,
}


def test_every_recipe_is_here():
    assert set(PARAMETERS) | {"celeba_64_wmgm"} == set(RECIPES)


def has_teacher(name):
    recipe = keras_wmgm.recipes.read_recipe(RECIPES[name])
    return "teacher" in recipe.model


@pytest.mark.parametrize("name", list(filter(has_teacher, RECIPES)))
def test_stages_distill_every_factor_once(name):
    recipe = keras_wmgm.recipes.read_recipe(RECIPES[name])
    trained = [name for stage in recipe.stages for name in stage.factors]
    model = keras_wmgm.recipes.build_model(recipe)
    parts = [p.name for p in model.parts if "teacher" in p.factor.networks]
    assert sorted(trained) == sorted(parts)


@pytest.mark.parametrize("name", [n for n in RECIPES if not has_teacher(n)])
def test_stages_train_every_network_once(name):
    recipe = keras_wmgm.recipes.read_recipe(RECIPES[name])
    trained = [name for stage in recipe.stages for name in stage.factors]
    details = recipe.model["details"]
    if isinstance(details, list):
        names = [f"detail_{k}" for k in range(len(details), 0, -1)]
        assert len(details) == recipe.model["num_levels"]
    else:
        names = ["detail"]
    tables = {"coarse": recipe.model["coarse"]}
    if isinstance(details, list):
        tables.update(zip(names, details[::-1], strict=True))
    guided = [name for name, table in tables.items() if "guide" in table]
    guides = [f"guide_{name.removeprefix('detail_')}" for name in guided]
    assert trained == ["coarse", *names, *guides]
    assert all(stage.num_epochs(1000) for stage in recipe.stages)


@pytest.mark.once
@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - {"colon_128"}))
def test_parameters(name):
    recipe = keras_wmgm.recipes.read_recipe(RECIPES[name])
    model = keras_wmgm.recipes.build_model(recipe)
    assert keras_wmgm.recipes.build_optimizers(recipe, model, 1000)
    draws = [factor.networks["draw"] for factor in model.factors.values()]
    counts = [math.prod(v.shape) for n in draws for v in n.trainable_variables]
    assert sum(counts) == PARAMETERS[name]


def totals(model):
    """Return the sum of each weight's sizes, by role."""
    return {
        role: [np.abs(to_numpy(v)).sum() for v in network.trainable_variables]
        for role, network in model.networks.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["afhq_dog_128", "celebahq_128", "colon_128"])
def test_what_there_is_no_data_for_trains_to_pictures(name):
    recipe = keras_wmgm.recipes.read_recipe(RECIPES[name])
    for stage in recipe.stages:
        stage.steps, stage.epochs, stage.batch_size = 1, None, 2
    images = np.rint(127.5 + 100 * wave((2, 16, 16, 3)))
    images = images.repeat(8, axis=1).repeat(8, axis=2).astype("uint8")
    model = keras_wmgm.recipes.build_model(recipe)
    model.compile(keras_wmgm.recipes.build_optimizers(recipe, model, 2))
    before = totals(model)
    assert keras_wmgm.recipes.train(model, recipe, images)
    after = totals(model)
    assert all(before[role] != after[role] for role in before)
    drawn = model.generate(1, num_steps=1, seed=0, verbose=0)
    # One step draws little more than the mean.
    assert drawn.shape == (1, 128, 128, 3) and drawn.std() > 2
