import numpy as np
import pytest

from keras_wmgm import recipes
from tests.models import tiny
from tests.recipes.test_build import GAN
from tests.recipes.test_build import SCORE
from tests.recipes.test_build import make

WIDE = {"network": {"filters": [8]}}


def model(size, details, coarse=SCORE, seed=0):
    tables = {"coarse": coarse, "details": details, "num_levels": len(details)}
    return recipes.build_model(
        make({"class": "MultiscaleModel", **tables}, size=size, seed=seed)
    )


def draws(model):
    """Return the weights of what draws, by factor."""
    return {
        name: [np.array(w) for w in f.networks["draw"].get_weights()]
        for name, f in model.factors.items()
    }


def same(weights, others):
    return all(map(np.array_equal, weights, others))


def test_bands_of_the_same_size_start_alike():
    source = model(8, [SCORE, SCORE], seed=1)
    target = model(16, [SCORE, SCORE, SCORE])
    before = draws(target)
    assert recipes.shared_bands(source, target) == {
        "coarse": "coarse",
        "detail_2": "detail_1",
        "detail_3": "detail_2",
    }
    recipes.transfer(source, target)
    learned, after = draws(source), draws(target)
    assert same(after["coarse"], learned["coarse"])
    assert same(after["detail_2"], learned["detail_1"])
    assert same(after["detail_3"], learned["detail_2"])
    assert same(after["detail_1"], before["detail_1"])


def test_networks_unlike_each_other_are_left():
    source = model(8, [SCORE, SCORE], coarse=WIDE, seed=1)
    target = model(8, [GAN, WIDE])
    before = draws(target)
    assert recipes.shared_bands(source, target) == {}
    recipes.transfer(source, target)
    tiny.assert_equal(draws(target), before)


def test_a_coarse_band_of_another_size_is_left():
    source = model(8, [SCORE], seed=1)
    target = model(16, [SCORE])
    assert recipes.shared_bands(source, target) == {}


def test_a_factor_of_all_levels_fits_the_same_levels():
    def shared(size, levels):
        tables = {"coarse": SCORE, "details": GAN, "num_levels": levels}
        return recipes.build_model(
            make({"class": "MultiscaleModel", **tables}, size=size)
        )

    source = shared(16, 2)
    both = {"coarse": "coarse", "detail": "detail"}
    assert recipes.shared_bands(source, shared(16, 2)) == both
    assert recipes.shared_bands(source, shared(8, 1)) == {"coarse": "coarse"}
    assert recipes.shared_bands(source, shared(32, 2)) == {}


def recipe(start="detail_2", **stage):
    stages = (
        {"factors": ["detail_2"], "epochs": 2, "batch_size": 8},
        {"factors": ["detail_1"], "epochs": 1, "batch_size": 8, **stage},
    )
    stages[1]["start_from"] = start
    tables = {"coarse": SCORE, "details": [SCORE, SCORE]}
    return make(
        {"class": "MultiscaleModel", "num_levels": 2, **tables},
        stages=stages,
        optimizers={"detail": {"class": "SGD", "learning_rate": 0.0}},
    )


def test_a_stage_starts_from_another_factors_average():
    made = recipe()
    target = recipes.build_model(made)
    made.optimizers["detail_2"] = {
        "class": "SGD",
        "learning_rate": 0.1,
        "use_ema": True,
        "ema_momentum": 0.9,
    }
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), "uint8")
    target.compile(recipes.build_optimizers(made, target, len(images)))
    before = draws(target)
    assert recipes.train(target, made, images)
    after = draws(target)
    # The second stage, at a rate of nothing, left what it started from.
    assert same(after["detail_1"], after["detail_2"])
    assert not same(after["detail_2"], before["detail_2"])
    # Trained through, a run that goes on does not start it again.
    target.factors["detail_1"].networks["draw"].set_weights(before["detail_1"])
    recipes.train(target, made, images)
    assert same(draws(target)["detail_1"], before["detail_1"])


def test_what_a_preset_gave_is_not_started_again():
    made = recipe()
    recipes.keep_start(made, {"coarse", "detail_2"})
    assert made.stages[1].start_from == "detail_2"
    recipes.keep_start(made, {"detail_1"})
    assert made.stages[1].start_from is None


@pytest.mark.parametrize("start", ["detail_3", "coarse", "critic"])
def test_a_start_from_what_is_unlike_is_refused(start):
    with pytest.raises(ValueError, match="same weights.*Received: "):
        recipes.build_model(recipe(start))


@pytest.mark.parametrize("factors", [None, ["coarse", "detail_1"]])
def test_a_start_of_several_factors_is_refused(factors):
    with pytest.raises(ValueError, match="stage of one factor.*Received: "):
        recipe(factors=factors)


def test_guides_start_where_theirs_are_alike():
    def guided(filters, seed):
        table = {**SCORE, "guide": {"filters": filters}, "guidance": 1.5}
        return model(8, [table], coarse=table, seed=seed)

    source, alike, other = guided([2], 1), guided([2], 2), guided([3], 2)
    before = tiny.weights(other)
    for target in (alike, other):
        recipes.transfer(source, target)
    del before["pyramid"]
    learned = tiny.weights(source)
    assert tiny.moved(tiny.weights(alike), learned) == set()
    found = tiny.weights(other)
    assert tiny.moved(found, before) == {"coarse", "detail_1"}
    # A model without guides starts as well.
    plain = model(8, [SCORE], seed=2)
    recipes.transfer(source, plain)
    assert same(tiny.weights(plain)["coarse"], learned["coarse"])
