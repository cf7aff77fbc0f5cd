import math

import keras
import numpy as np
import pytest

from keras_wmgm import WMGM
from keras_wmgm import WSGM
from keras_wmgm import MultiscaleModel
from keras_wmgm import recipes
from keras_wmgm.optimizers import ConvMuon
from tests.models import tiny

SCORE = {"network": {"filters": [4]}}
GAN = {
    "kind": "gan",
    "generator": {"filters": [4], "head_filters": 4},
    "critic": {"filters": [4], "normalization": "none"},
}


def make(model=None, size=8, stages=({},), channels=3, **values):
    data = {"image_size": size, "channels": channels}
    if model is None:
        model = {
            "class": "MultiscaleModel",
            "num_levels": 2,
            "coarse": SCORE,
            "details": [GAN, SCORE],
        }
    return recipes.Recipe.from_dict(
        {"data": data, "model": model, "stages": list(stages), **values}
    )


def test_each_level_has_a_factor_of_its_own():
    recipe = make()
    model = recipes.build_model(recipe)
    assert type(model) is MultiscaleModel
    assert list(model.networks) == [
        "coarse",
        "detail_1",
        "critic_1",
        "detail_2",
    ]
    kinds = [factor.takes_steps for factor in model.factors.values()]
    assert kinds == [True, False, True]
    critic = model.networks["critic_1"]
    assert critic.config["normalization"] is None
    assert critic.config["channels"] == 12
    assert model.networks["detail_2"].config["condition_channels"] == 3
    assert model.networks["detail_1"].config["num_scales"] is None


@pytest.mark.parametrize("kind", [SCORE, GAN], ids=["diffusion", "gan"])
@pytest.mark.parametrize("name", ["WMGM", "WSGM", "MultiscaleModel"])
def test_one_table_of_details_is_shared(name, kind):
    tables = {"coarse": SCORE, "details": kind}
    model = recipes.build_model(
        make({"class": name, "num_levels": 2, **tables}, channels=1)
    )
    classes = {c.__name__: c for c in (WMGM, WSGM, MultiscaleModel)}
    assert type(model) is classes[name]
    assert model.shares_details and model.image_shape == (8, 8, 1)
    assert model.networks["detail"].config["num_scales"] == 2


def test_a_critic_may_see_images():
    table = {**GAN, "critic_input": "image", "mse_weight": 0.5}
    model = recipes.build_model(
        make(
            {
                "class": "WMGM",
                "num_levels": 1,
                "coarse": SCORE,
                "details": table,
            }
        )
    )
    assert model.networks["critic"].config["channels"] == 3
    assert model.factors["detail"].mse_weight == 0.5


def test_weights_are_drawn_from_the_recipes_seed():
    made = [recipes.build_model(make(seed=seed)) for seed in (1, 1, 2)]
    first, same, other = map(tiny.weights, made)
    tiny.assert_equal(same, first)
    assert "coarse" in tiny.moved(other, first)
    assert [model.seed for model in made] == [1, 1, 2]


@pytest.mark.parametrize(
    "change, text",
    [
        ({"coarse": GAN}, "kind='diffusion'.*Received: "),
        ({"coarse": {"kind": "flow"}}, "`kind` must be one of"),
        ({"details": [GAN]}, "a list of 2 factors"),
        ({"details": [{**GAN, "gama": 1}, SCORE]}, "gama"),
    ],
)
def test_what_makes_no_model_is_refused(change, text):
    with pytest.raises(ValueError, match=text):
        recipes.build_model(make({**make().model, **change}))


# Optimizers


@pytest.fixture(scope="module")
def model():
    return recipes.build_model(make())


def optimizers(model, stages=({},), **tables):
    return recipes.build_optimizers(
        make(stages=stages, optimizers=tables), model, num_images=40
    )


def rate(optimizer, step):
    value = optimizer._learning_rate
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        value = value(step)
    return float(keras.ops.convert_to_numpy(value))


def test_defaults_are_by_kind(model):
    made = optimizers(model)
    assert list(made) == list(model.networks)
    found = {
        role: (rate(o, 0), type(o).__name__, o.use_ema, o.global_clipnorm)
        for role, o in made.items()
    }
    approx = pytest.approx
    assert found == {
        "coarse": (approx(4e-3), "ConvMuon", True, 1.0),
        "detail_1": (approx(2e-4), "Adam", True, 1.0),
        "critic_1": (approx(2e-4), "Adam", False, 1.0),
        "detail_2": (approx(4e-3), "ConvMuon", True, 1.0),
    }
    assert made["detail_1"].beta_1 == made["critic_1"].beta_1 == 0.5


def test_a_role_comes_before_its_kind(model):
    made = optimizers(
        model,
        detail={"class": "SGD", "learning_rate": 0.5},
        detail_2={"class": "AdamW", "learning_rate": 0.25},
        critic={"class": "ConvMuon", "learning_rate": 0.125},
    )
    assert isinstance(made["detail_1"], keras.optimizers.SGD)
    assert isinstance(made["detail_2"], keras.optimizers.AdamW)
    assert rate(made["detail_1"], 0) == 0.5
    assert rate(made["detail_2"], 0) == 0.25
    assert isinstance(made["coarse"], ConvMuon)
    assert isinstance(made["critic_1"], ConvMuon)
    assert rate(made["critic_1"], 0) == 0.125


def test_a_table_without_a_class_changes_the_default(model):
    made = optimizers(
        model,
        coarse={"learning_rate": 0.25},
        detail={"ema_momentum": 0.9},
        critic={"class": "Adam", "learning_rate": 0.5},
    )
    assert isinstance(made["coarse"], ConvMuon)
    assert rate(made["coarse"], 0) == 0.25
    assert made["coarse"].use_ema and made["coarse"].global_clipnorm == 1.0
    assert made["detail_1"].ema_momentum == 0.9
    assert rate(made["detail_1"], 0) == pytest.approx(2e-4)
    assert rate(made["detail_2"], 0) == pytest.approx(4e-3)
    # A class stands for itself.
    assert made["critic_1"].global_clipnorm is None
    assert made["critic_1"].beta_1 == 0.9


def test_a_role_s_table_changes_that_of_its_kind(model):
    made = optimizers(
        model,
        detail={"class": "SGD", "learning_rate": 0.5, "momentum": 0.25},
        detail_2={"learning_rate": 0.125},
    )
    assert isinstance(made["detail_2"], keras.optimizers.SGD)
    assert made["detail_2"].momentum == 0.25
    assert (rate(made["detail_1"], 0), rate(made["detail_2"], 0)) == (
        0.5,
        0.125,
    )


def test_none_switches_off_what_the_default_has(model):
    table = {"decay": "none", "global_clipnorm": "none", "use_ema": False}
    made = optimizers(model, ({"epochs": 10},), coarse=table)["coarse"]
    assert rate(made, 0) == rate(made, 39) == pytest.approx(4e-3)
    assert made.global_clipnorm is None and not made.use_ema


def test_a_rate_that_is_not_given_is_the_class_s_own(model):
    table = {"class": "ConvMuon", "decay": "cosine", "rms_rate": "none"}
    made = optimizers(model, ({"epochs": 10},), coarse=table)["coarse"]
    assert rate(made, 0) == pytest.approx(4e-3)
    assert made.rms_rate is None


def test_rates_decay_over_the_stages_of_their_role(model):
    # Epochs of four steps: 40 + 60 for the coarse factor, 60 for the rest.
    stages = (
        {"factors": ["coarse"], "epochs": 10, "batch_size": 10},
        {"steps": 60, "batch_size": 10},
    )
    table = {"learning_rate": 0.1, "decay": "cosine", "warmup_steps": 10}
    made = optimizers(model, stages, coarse=table, critic=dict(table))
    for role, steps in (("coarse", 100), ("critic_1", 60)):
        warmup = min(10, steps // 10)
        assert rate(made[role], 0) == pytest.approx(1e-3)
        assert rate(made[role], warmup) == pytest.approx(0.1)
        middle = warmup + (steps - warmup) // 2
        part = 0.5 * (
            1 + math.cos(math.pi * (middle - warmup) / (steps - warmup))
        )
        expected = 0.1 * (0.98 * part + 0.02)
        assert rate(made[role], middle) == pytest.approx(expected, rel=1e-4)
        assert rate(made[role], steps) == pytest.approx(0.002, rel=1e-4)


def test_a_rate_without_an_end_does_not_decay(model):
    table = {"learning_rate": 0.1, "decay": "cosine", "warmup_steps": 10}
    made = optimizers(model, ({},), coarse=table)
    assert rate(made["coarse"], 10_000) == pytest.approx(0.1)


@pytest.mark.parametrize("end", [{}, {"minutes": 3}])
def test_without_steps_rates_fall_by_the_clock(model, end):
    stages = (
        {"factors": ["coarse"], "epochs": 3},
        {"factors": ["detail"], **end},
    )
    constant = {"class": "SGD", "learning_rate": 0.1}
    made = make(stages=stages, optimizers={"critic": constant})
    found = recipes.build.rates_by_time(made, model, 40)
    assert found == {"detail_1": 0, "detail_2": 300}


def test_a_run_that_goes_on_begins_with_the_whole_rate(model):
    table = {"learning_rate": 0.1, "decay": "cosine"}
    made = make(stages=({},), optimizers={"coarse": table})
    model.compile(recipes.build_optimizers(made, model, 40))
    optimizer = model.optimizer.by_role["coarse"]
    optimizer.learning_rate = 0.003  # what a clock has left of it
    assert not recipes.renew_rates(made, model, 40)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_an_optimizer_of_another_class_keeps_its_rate(model):
    adam = {"class": "Adam", "learning_rate": 1e-3}
    old = make(stages=({},), optimizers={"coarse": adam})
    model.compile(recipes.build_optimizers(old, model, 40))
    assert recipes.renew_rates(make(stages=({},)), model, 40) == ["coarse"]
    rate = model.optimizer.by_role["coarse"].learning_rate
    assert float(rate) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    "tables, text",
    [
        ({"detial": {}}, "Did you mean 'detail'"),
        ({"detail_3": {}}, "`optimizers` must be one of"),
        ({"coarse": {"decay": "linear"}}, "`decay` must be one of"),
        ({"coarse": {"class": "Adamm"}}, "does not describe an optimizer"),
        ({"coarse": {"rate": 1}}, "does not describe an optimizer"),
    ],
)
def test_what_is_no_optimizer_is_refused(model, tables, text):
    with pytest.raises(ValueError, match=f"{text}.*Received: "):
        optimizers(model, **tables)


# Stages


class Log(keras.callbacks.Callback):
    def __init__(self, stop_after=None):
        super().__init__()
        self.lines, self.stop_after = [], stop_after

    def on_train_begin(self, logs=None):
        self.lines.append("fit")

    def on_epoch_end(self, epoch, logs=None):
        losses = [name for name in logs if name.endswith("_loss")]
        self.lines.append((epoch, losses))
        self.model.stop_training |= epoch == self.stop_after


@pytest.mark.each
def test_stages_follow_and_go_on_where_they_were(model):
    coarse = {"factors": ["coarse"], "epochs": 2, "batch_size": 8}
    detail = {"factors": ["detail_2"], "steps": 3, "batch_size": 8}
    recipe = make(stages=(coarse, detail))
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), "uint8")
    model.compile(recipes.build_optimizers(recipe, model, len(images)))
    first = Log(stop_after=0)
    assert not recipes.train(model, recipe, images, [first])
    assert first.lines == ["fit", (0, ["coarse_loss"])]
    before = tiny.weights(model)
    second = Log()
    assert recipes.train(model, recipe, images, [second])
    assert second.lines == [
        "fit",
        (1, ["coarse_loss"]),
        "fit",
        (2, ["detail_2_loss"]),
        (3, ["detail_2_loss"]),
    ]
    assert tiny.moved(tiny.weights(model), before) == {"coarse", "detail_2"}
    third = Log()
    assert recipes.train(model, recipe, images, [third])
    assert third.lines == []


def test_a_guide_is_its_network_with_other_sizes():
    table = {
        "network": {"filters": [4, 8], "normalization": "none"},
        "guide": {"filters": [2, 4]},
        "guidance": 1.5,
    }
    recipe = make(
        {
            "class": "MultiscaleModel",
            "num_levels": 1,
            "coarse": SCORE,
            "details": [table],
        },
        optimizers={"guide": {"learning_rate": 0.5}},
    )
    model = recipes.build_model(recipe)
    assert list(model.networks) == ["coarse", "detail_1", "guide_1"]
    assert model.details[0].guidance == 1.5
    table = recipe.model["details"][0]
    table.update(guide="none", guidance=1)
    assert recipes.build_model(recipe).details[0].guide is None
    table.update(guide={"filters": [2, 4]}, guidance=1.5)
    own, guide = (model.networks[r].config for r in ("detail_1", "guide_1"))
    changed = {key for key in own if own[key] != guide[key]}
    assert changed == {"filters"} and guide["filters"] == (2, 4)
    optimizers = recipes.build_optimizers(recipe, model, 100)
    assert float(optimizers["guide_1"].learning_rate) == 0.5
    assert float(optimizers["detail_1"].learning_rate) != 0.5


def test_a_guide_learns_by_adam_where_nothing_is_said():
    table = {**SCORE, "guide": {"filters": [2]}, "guidance": 1.2}
    recipe = make(
        {
            "class": "WSGM",
            "num_levels": 1,
            "coarse": SCORE,
            "details": [table],
        },
        stages=[
            {"factors": ["coarse", "detail_1"], "steps": 1000},
            {"factors": ["guide"], "steps": 500},
        ],
    )
    model = recipes.build_model(recipe)
    optimizers = recipes.build_optimizers(recipe, model, 100)

    def rates(role, *steps):
        rate = optimizers[role]._learning_rate
        return [float(rate(step)) for step in steps]

    assert rates("detail_1", 100, 500) == rates("coarse", 100, 500)
    # Its rate falls over its own steps.
    assert isinstance(optimizers["guide_1"], keras.optimizers.Adam)
    (guide,), (detail,) = rates("guide_1", 500), rates("detail_1", 1000)
    assert guide == pytest.approx(detail / 4, 0.1)
    tuned = recipes.build.tuning_optimizers(model)
    found = {role: t["learning_rate"] for role, t in tuned.items()}
    assert found == {
        "coarse": pytest.approx(4e-4),
        "detail_1": pytest.approx(4e-4),
        "guide_1": pytest.approx(1e-4),
    }
    assert set(tuned) == set(model.networks)
