import zipfile

import keras
import numpy as np
import pytest

from benchmarks import factor
from benchmarks.scales import Drawing
from keras_wmgm.recipes.build import build_model
from keras_wmgm.recipes.build import whole_table
from tests.cli.command import photographs

RECIPE = """
[data]
image_size = 16

[model]
class = "MultiscaleModel"
num_levels = 1

[model.coarse]
network = { filters = [4] }

[[model.details]]
network = { filters = [4], normalization = "none" }

[[stages]]
factors = ["detail_1"]
epochs = 1
batch_size = 8
"""


@pytest.fixture
def inputs(tmp_path):
    """A recipe, and a zip file with train/ and test/."""
    folder = photographs(tmp_path / "photos", size=16)
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as file:
        for path in sorted(folder.rglob("*.*")):
            for split in ("train", "test"):
                file.write(path, f"{split}/{path.name}")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml", tmp_path / "data.zip"


def test_the_rows_of_a_factor(inputs, weights, tmp_path, capsys):
    recipe, data = inputs
    preset = factor.build_model(factor.read_recipe(recipe))
    preset.adapt(np.arange(1536, dtype="uint8").reshape(2, 16, 16, 3))
    preset.save_to_preset(tmp_path / "preset")
    arguments = {
        "recipe": recipe,
        "data": data,
        "factor": "detail_1",
        "minutes": 0.02,
        "features": weights,
        "num-images": 64,
        "num-steps": 1,
        "upon": tmp_path / "preset",
    }
    factor.main([f"--{key}={value}" for key, value in arguments.items()])
    own, drawn = (
        line.strip("| ").split(" | ")
        for line in capsys.readouterr().out.splitlines()[-2:]
    )
    assert own[0] == "photographs" and drawn[0] == str(tmp_path / "preset")
    assert own[1:4] == drawn[1:4] and own[4:6] != drawn[4:6]
    _, steps, _, loss, distance, ratios, spread = own
    assert int(steps.replace(",", "")) > factor.COMPILED
    assert 0 < float(loss) < 3
    assert float(distance.replace(",", "")) > 0
    assert len(ratios.split()) == 3 and 0 <= float(spread) < 3


def test_a_guide_that_learned_nothing_has_no_part(inputs):
    recipe = factor.read_recipe(inputs[0])
    recipe.model["details"][0].update(guide={"filters": [2]}, guidance=1.5)
    images = np.zeros((8, 16, 16, 3), "uint8")
    model, _ = factor.train(recipe, "detail_1", images, minutes=0.001)
    condition = np.zeros((2, 8, 8, 3), "float32")
    drawn = Drawing(model, k=1, num_steps=2).draw(condition, seed=0)
    model.details[0].guide = None
    alone = Drawing(model, k=1, num_steps=2).draw(condition, seed=0)
    np.testing.assert_array_equal(drawn, alone)


def test_settings_change_one_factor_and_its_optimizer(inputs):
    recipe = factor.read_recipe(inputs[0])
    settings = [
        "network.filters=[8]",
        "condition_noise=0.3",
        "optimizer.learning_rate=2e-3",
        'optimizer.class="Adam"',
    ]
    factor.change(recipe, "detail_1", settings)
    assert recipe.model["details"] == [
        {
            "network": {"filters": [8], "normalization": "none"},
            "condition_noise": 0.3,
        }
    ]
    assert recipe.model["coarse"] == {"network": {"filters": [4]}}
    table = recipe.optimizers["detail_1"]
    assert (table["class"], table["learning_rate"]) == ("Adam", 2e-3)
    assert table["use_ema"] and table["global_clipnorm"] == 1.0


@pytest.mark.parametrize("order", [1, -1])
def test_a_factor_of_another_kind_begins_anew(inputs, order):
    recipe = factor.read_recipe(inputs[0])
    recipe.optimizers["detail"] = {"class": "ConvMuon", "use_ema": True}
    settings = ['kind="gan"', "mse_weight=0.05", "generator.filters=[4]"]
    factor.change(recipe, "detail_1", settings[::order])
    assert recipe.model["details"] == [
        {"kind": "gan", "mse_weight": 0.05, "generator": {"filters": [4]}}
    ]
    assert recipe.optimizers["detail_1"] == default(recipe)
    assert default(recipe)["learning_rate"] == pytest.approx(2e-4)


def default(recipe):
    """Return the table of `detail_1`'s optimizer where nothing is said."""
    role, *_ = build_model(recipe).parts["detail_1"].roles
    return whole_table({}, role)


def test_an_optimizer_of_another_class_begins_anew(inputs):
    recipe = factor.read_recipe(inputs[0])
    recipe.optimizers["detail"] = {
        "class": "SGD",
        "momentum": 0.5,
        "decay": "cosine",
    }
    factor.change(recipe, "detail_1", ['optimizer.class="ConvMuon"'])
    assert recipe.optimizers["detail_1"] == {
        "class": "ConvMuon",
        "decay": "cosine",
    }


def test_an_optimizer_keeps_what_the_recipe_leaves_to_the_default(inputs):
    recipe = factor.read_recipe(inputs[0])
    recipe.optimizers["detail"] = {"learning_rate": 1e-3}
    factor.change(recipe, "detail_1", ['optimizer.class="Adam"'])
    shared = {n: default(recipe)[n] for n in factor.SHARED}
    assert recipe.optimizers["detail_1"] == {**shared, "class": "Adam"}
    recipe.optimizers["detail_1"] = {"learning_rate": 1e-3}
    factor.change(recipe, "detail_1", ['optimizer.class="ConvMuon"'])
    expected = {**default(recipe), "learning_rate": 1e-3}
    assert recipe.optimizers["detail_1"] == expected


def test_a_recipe_of_shared_details_is_refused(inputs):
    recipe = factor.read_recipe(inputs[0])
    recipe.model["details"] = {"network": {"filters": [4]}}
    with pytest.raises(ValueError, match="must have details of each level"):
        factor.check_factor(recipe, "detail")


def test_details_that_are_shared_are_not_changed(inputs):
    recipe = factor.read_recipe(inputs[0])
    recipe.model["details"] = {}
    factor.change(recipe, "detail_1", [])
    with pytest.raises(ValueError, match="one of a recipe's.*Received: "):
        factor.change(recipe, "detail_1", ["condition_noise=0.3"])


@pytest.mark.parametrize("name", ["coarse", "detail_0", "detail_2", "detail"])
def test_a_factor_without_details_is_refused_before_work(inputs, weights, name):
    recipe, data = inputs
    arguments = {"recipe": recipe, "data": data, "factor": name}
    arguments["features"] = weights
    flags = [f"--{key}={value}" for key, value in arguments.items()]
    with pytest.raises(ValueError, match="must be one of 'detail_1'"):
        factor.main([*flags, "--set=condition_noise=0.3"])


def test_rates_fall_to_nothing_and_training_stops(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(factor.time, "perf_counter", lambda: now[0])
    clock = factor.Clock(minutes=10)
    optimizer = keras.optimizers.Adam(0.5)
    model = type("Model", (), {"stop_training": False})()
    model.optimizer = type("By", (), {"by_role": {"coarse": optimizer}})()
    clock.set_model(model)
    clock.on_train_begin()
    rates = []
    for step in range(1000):
        now[0] += 1.0
        clock.on_train_batch_end(step)
        rates.append(float(optimizer.learning_rate))
        if model.stop_training:
            break
    assert step + 1 == 600 + factor.COMPILED
    assert np.argmax(rates[3:]) == pytest.approx(197, abs=2)
    assert rates[302] == pytest.approx(0.5 * 0.5**0.5, rel=1e-3)
    assert rates[-1] < 1e-6
